import { ENGINE_CONTRACT_VERSION, type EngineDefinition, InvalidArgumentError } from '@crikit/core';
import packageJson from '../package.json' with { type: 'json' };
import type { PouchOptions } from './pouch-options.js';

/**
 * Pouch as an engine, with its options bound: `createMetaStore({ engines: [pouch({ socketPath })] })`. Nothing is
 * connected or loaded yet. Throws `InvalidArgumentError` for a socket path that is not absolute.
 */
export function pouch(options: PouchOptions = {}): EngineDefinition {
  const { socketPath } = options;
  if (socketPath !== undefined && !socketPath.startsWith('/')) {
    throw new InvalidArgumentError(`socketPath must be an absolute path, not '${socketPath}'.`);
  }
  return {
    contractVersion: ENGINE_CONTRACT_VERSION,
    type: 'pouch',
    packageName: packageJson.name,
    packageVersion: packageJson.version,
    possibleFeatures: options.allowArchive === true ? ['events', 'archive'] : ['events'],
    // Loaded at first use, so that importing this package costs next to nothing.
    async probe(context) {
      const { probePouch } = await import('./probe-pouch.js');
      return probePouch(options, context);
    },
    async connect(context) {
      const { connectPouch } = await import('./pouch-driver.js');
      return connectPouch(options, context);
    },
  };
}
