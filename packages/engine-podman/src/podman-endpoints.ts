import { join } from 'node:path';
import { type EngineContext, hostPath, type ProbeAttempt } from '@crikit/core';
import type { PodmanOptions } from './podman-options.js';

/** Where a Podman service may listen. */
export interface PodmanEndpoint {
  /** As it is shown: the path, or what was given instead of one. */
  readonly name: string;
  readonly origin: ProbeAttempt['origin'];
  /** Undefined for what this package cannot reach. */
  readonly socketPath: string | undefined;
}

/** The endpoints to try, in order. What the caller or the environment names is used alone. */
export function findPodmanEndpoints(
  options: PodmanOptions,
  { environment, hostRoot }: Pick<EngineContext, 'hostRoot' | 'environment'>,
): PodmanEndpoint[] {
  if (options.socketPath !== undefined) return [at(options.socketPath, 'option')];
  const named = (environment.CONTAINER_HOST ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  if (named.length > 0) {
    return named.map((name) => {
      const path = name.replace(/^unix:\/\//, '');
      return path.startsWith('/') ? at(path, 'environment') : { name, origin: 'environment', socketPath: undefined };
    });
  }
  const { XDG_RUNTIME_DIR: runtimeDirectory } = environment;
  return [
    '/run/podman/podman.sock',
    ...(runtimeDirectory?.startsWith('/') === true ? [join(runtimeDirectory, 'podman/podman.sock')] : []),
  ].map((path) => at(hostPath(hostRoot, path), 'well-known'));
}

function at(path: string, origin: ProbeAttempt['origin']): PodmanEndpoint {
  return { name: path, origin, socketPath: path };
}
