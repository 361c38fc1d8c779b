import { type EngineContext, hostPath, type ProbeAttempt, type ProbeReport, probeUnixSocket } from '@crikit/core';
import type { ExampleOptions } from './example.js';
import { askExample } from './example-api.js';

/** Looks whether the daemon is here and answers. Never rejects. */
export async function probeExample(options: ExampleOptions, context: EngineContext): Promise<ProbeReport> {
  const { path, origin } = findSocket(options, context);
  const connected = await probeUnixSocket(path, { origin, signal: context.signal });
  if (connected.outcome === 'absent' && origin === 'well-known') {
    return { status: 'not-applicable', attempts: [connected] };
  }
  if (connected.outcome !== 'ok') return { status: 'failed', attempts: [connected] };
  const about = { endpoint: path, origin } as const;
  try {
    const { version } = (await askExample(path, '/version', context.signal)) as { version: string };
    const message = `${path}: example daemon ${version}.`;
    return { status: 'available', version, attempts: [{ ...about, step: 'done', outcome: 'ok', message }] };
  } catch (error) {
    const message = `${path}: ${(error as Error).message}`;
    return { status: 'failed', attempts: [{ ...about, step: 'handshake', outcome: 'failed', message }] };
  }
}

/** An option wins over the environment, and that over the well-known path below the host root. */
export function findSocket(
  { socketPath }: ExampleOptions,
  { environment, hostRoot }: EngineContext,
): { readonly path: string; readonly origin: ProbeAttempt['origin'] } {
  if (socketPath !== undefined) return { path: socketPath, origin: 'option' };
  const { EXAMPLE_SOCK: named } = environment;
  if (named !== undefined && named !== '') return { path: named, origin: 'environment' };
  return { path: hostPath(hostRoot, '/run/example.sock'), origin: 'well-known' };
}
