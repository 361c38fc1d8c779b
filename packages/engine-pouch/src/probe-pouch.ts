import type { EngineContext, ProbeReport } from '@crikit/core';
import {
  type DaemonEndpoint,
  type DaemonKind,
  type DaemonVersion,
  isRecord,
  type ProbedEndpoint,
  probeEndpoints,
  readDaemonJson,
  readDaemonVersion,
  reportProbe,
} from '@crikit/dockerode-api';
import { findPouchEndpoints } from './pouch-endpoints.js';
import type { PouchOptions } from './pouch-options.js';

export const pouchKind: DaemonKind = {
  product: 'Pouch',
  foreignCode: 'NOT_POUCH',
  ask: askPouch,
  objectTo: ({ hasApiVersionHeader, program, version }) =>
    isDocker({ hasApiVersionHeader, program })
      ? {
          code: 'NOT_POUCH',
          message: `it is ${program ?? 'Docker'} (version ${version})`,
          remedy: 'For Docker use @crikit/engine-docker.',
        }
      : undefined,
};

/** Looks for a Pouch daemon. Never rejects; loads no client library. */
export async function probePouch(options: PouchOptions, context: EngineContext): Promise<ProbeReport> {
  return reportProbe(await probePouchEndpoints(options, context));
}

/** Every endpoint with its attempt, in order of preference. Never rejects. */
export async function probePouchEndpoints(
  options: PouchOptions,
  context: EngineContext,
): Promise<readonly ProbedEndpoint[]> {
  return probeEndpoints(findPouchEndpoints(options, context), pouchKind, context.signal);
}

/** Its version names no product: what tells Pouch apart is a member of GET /info that nobody else has. */
async function askPouch(endpoint: DaemonEndpoint, signal: AbortSignal): Promise<DaemonVersion> {
  const version = await readDaemonVersion(endpoint, signal);
  if (isDocker(version)) return version;
  const { body } = await readDaemonJson(endpoint, '/info', signal);
  if (!isRecord(body) || typeof body.PouchRootDir !== 'string') {
    throw Object.assign(new Error('its GET /info has no PouchRootDir'), { code: 'FOREIGN' });
  }
  return version;
}

function isDocker({ hasApiVersionHeader, program }: Pick<DaemonVersion, 'hasApiVersionHeader' | 'program'>): boolean {
  return hasApiVersionHeader || program !== undefined;
}
