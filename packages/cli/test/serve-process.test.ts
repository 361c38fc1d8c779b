/** `crikit serve` as a process, on a machine without an engine. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, expect, test } from 'vitest';

const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

interface Serving {
  readonly child: ChildProcess;
  /** With the token, where it is printed. */
  readonly address: URL;
  readonly errors: () => string;
}

function start(words: readonly string[], environment: NodeJS.ProcessEnv = {}): ChildProcess {
  const program = join(import.meta.dirname, '../dist/crikit.js');
  const child = spawn(
    process.execPath,
    [program, 'serve', '--host-root', '/nonexistent', '--pods', 'labels', ...words],
    {
      env: { PATH: process.env.PATH, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  children.push(child);
  return child;
}

async function serve(words: readonly string[] = [], environment: NodeJS.ProcessEnv = {}): Promise<Serving> {
  const child = start(['--port', '0', ...words], environment);
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    const address = /http:\S+/.exec(line)?.[0];
    if (address !== undefined) return { child, address: new URL(address), errors: () => errors };
  }
  throw new Error(`It ended before it served: ${errors}`);
}

async function ask({ address }: Serving, path: string, token: string): Promise<IncomingMessage> {
  const request = get(new URL(path, address), { headers: { authorization: `Bearer ${token}` } });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return response;
}

test.each(['SIGTERM', 'SIGINT'] as const)('%s ends it by itself, open streams of events included', async (signal) => {
  const serving = await serve();
  const token = serving.address.searchParams.get('token') ?? '';
  const events = await ask(serving, '/api/v1/events', token);
  expect(events.statusCode).toBe(200);
  events.resume();
  const ended = once(events, 'end');
  const exited = once(serving.child, 'exit');
  serving.child.kill(signal);
  await ended;
  expect(await exited).toEqual([0, null]);
  expect(serving.errors()).toBe('');
});

test('it serves without any engine: alive, not ready, and with a diagnosis', async () => {
  const serving = await serve();
  const token = serving.address.searchParams.get('token') ?? '';
  expect(token.length).toBeGreaterThanOrEqual(32);
  expect((await ask(serving, '/healthz', 'none')).statusCode).toBe(200);
  expect((await ask(serving, '/readyz', 'none')).statusCode).toBe(503);
  const diagnosis = await ask(serving, '/api/v1/diagnosis', token);
  let text = '';
  for await (const chunk of diagnosis) text += String(chunk);
  expect(JSON.parse(text)).toMatchObject({
    severity: 'failure',
    findings: expect.arrayContaining([expect.objectContaining({ id: 'no-engine' })]),
  });
  expect((await ask(serving, '/', token)).headers['content-type']).toContain('text/html');
});

test('a token that is given, by option or environment, counts, and is not printed', async () => {
  const token = 'given-by-somebody-1234';
  for (const serving of [await serve(['--token', token]), await serve([], { CRIKIT_TOKEN: token })]) {
    expect(serving.address.href).not.toContain(token);
    expect((await ask(serving, '/api/v1/status', token)).statusCode).toBe(200);
    expect((await ask(serving, '/api/v1/status', `${token}x`)).statusCode).toBe(401);
  }
});

test('what cannot work is told with what to do instead, and exit code 2', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as { port: number };
  for (const [words, message] of [
    [['--port', String(port)], '--port'],
    [['--token', 'short'], 'at least 16 characters'],
    [['--host', '192.0.2.1'], '--host'],
  ] as const) {
    const child = start(words);
    let errors = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      errors += chunk.toString();
    });
    expect(await once(child, 'close')).toEqual([2, null]);
    expect(errors).toContain(message);
  }
  taken.close();
});
