import { ENGINE_CONTRACT_VERSION, type EngineDefinition, InvalidArgumentError } from '@crikit/core';
import packageJson from '../package.json' with { type: 'json' };
import { parseDockerEndpoint } from './docker-endpoints.js';
import type { DockerOptions } from './docker-options.js';

/**
 * Docker as an engine, with its options bound: `createMetaStore({ engines: [docker({ socketPath })] })`. Nothing is
 * connected or loaded yet. Throws `InvalidArgumentError` for options that can never work.
 */
export function docker(options: DockerOptions = {}): EngineDefinition {
  requireOptions(options);
  return {
    contractVersion: ENGINE_CONTRACT_VERSION,
    type: 'docker',
    packageName: packageJson.name,
    packageVersion: packageJson.version,
    possibleFeatures: ['events', 'archive'],
    // Loaded at first use, so that importing this package costs next to nothing.
    async probe(context) {
      const { probeDocker } = await import('./probe-docker.js');
      return probeDocker(options, context);
    },
    async connect(context) {
      const { connectDocker } = await import('./docker-driver.js');
      return connectDocker(options, context);
    },
  };
}

function requireOptions({ socketPath, host }: DockerOptions): void {
  if (socketPath !== undefined && host !== undefined) {
    throw new InvalidArgumentError('Give docker() either `socketPath` or `host`, not both.');
  }
  if (socketPath !== undefined && !socketPath.startsWith('/')) {
    throw new InvalidArgumentError(`socketPath must be an absolute path, not '${socketPath}'.`);
  }
  if (host !== undefined) parseDockerEndpoint(host, 'option', false);
}
