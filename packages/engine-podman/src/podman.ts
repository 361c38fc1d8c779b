import { ENGINE_CONTRACT_VERSION, type EngineDefinition, InvalidArgumentError } from '@crikit/core';
import packageJson from '../package.json' with { type: 'json' };
import type { PodmanOptions } from './podman-options.js';

/**
 * Podman as an engine, with its options bound: `createMetaStore({ engines: [podman({ socketPath })] })`. Nothing is
 * connected or loaded yet. Throws `InvalidArgumentError` for options that can never work.
 */
export function podman(options: PodmanOptions = {}): EngineDefinition {
  const { socketPath } = options;
  if (socketPath !== undefined && !socketPath.startsWith('/')) {
    throw new InvalidArgumentError(`socketPath must be an absolute path, not '${socketPath}'.`);
  }
  return {
    contractVersion: ENGINE_CONTRACT_VERSION,
    type: 'podman',
    packageName: packageJson.name,
    packageVersion: packageJson.version,
    possibleFeatures: ['events', 'archive'],
    async probe(context) {
      const { probePodman } = await import('./probe-podman.js');
      return probePodman(options, context);
    },
    async connect(context) {
      const { connectPodman } = await import('./podman-driver.js');
      return connectPodman(options, context);
    },
  };
}
