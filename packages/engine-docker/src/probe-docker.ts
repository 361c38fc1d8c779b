import type { EngineContext, ProbeReport } from '@crikit/core';
import {
  type DaemonKind,
  type ProbedEndpoint,
  probeEndpoints,
  readDaemonVersion,
  reportProbe,
} from '@crikit/dockerode-api';
import { findDockerEndpoints } from './docker-endpoints.js';
import type { DockerOptions } from './docker-options.js';
import { objectToDocker } from './docker-version.js';

export const dockerKind: DaemonKind = {
  product: 'Docker',
  foreignCode: 'NOT_DOCKER',
  ask: readDaemonVersion,
  objectTo: objectToDocker,
};

/** Looks for a Docker daemon that this package can use. Never rejects; loads no client library. */
export async function probeDocker(options: DockerOptions, context: EngineContext): Promise<ProbeReport> {
  return reportProbe(await probeDockerEndpoints(options, context));
}

/** Every endpoint with its attempt, in order of preference. Never rejects. */
export async function probeDockerEndpoints(
  options: DockerOptions,
  context: EngineContext,
): Promise<readonly ProbedEndpoint[]> {
  return probeEndpoints(findDockerEndpoints(options, context), dockerKind, context.signal);
}
