import { ENGINE_CONTRACT_VERSION, type EngineDefinition, InvalidArgumentError } from '@crikit/core';
import packageJson from '../package.json' with { type: 'json' };
import type { ContainerdOptions } from './containerd-options.js';

/**
 * containerd as an engine, with its options bound: `createMetaStore({ engines: [containerd({ address })] })`. Nothing
 * is connected or loaded yet. Throws `InvalidArgumentError` for options that can never work.
 */
export function containerd(options: ContainerdOptions = {}): EngineDefinition {
  requireOptions(options);
  return {
    contractVersion: ENGINE_CONTRACT_VERSION,
    type: 'containerd',
    packageName: packageJson.name,
    packageVersion: packageJson.version,
    possibleFeatures: ['events'],
    // Loaded at first use, so that importing this package costs next to nothing.
    async probe(context) {
      const { probeContainerd } = await import('./probe-containerd.js');
      return probeContainerd(options, context);
    },
    async connect(context) {
      const { connectContainerd } = await import('./containerd-driver.js');
      return connectContainerd(options, context);
    },
  };
}

// What containerd takes for a namespace.
const namespaceName = /^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$/;

function requireOptions({ address, namespaces, fifoDirectory }: ContainerdOptions): void {
  const addresses = address === undefined ? undefined : typeof address === 'string' ? [address] : address;
  if (addresses?.length === 0) throw new InvalidArgumentError('address must not be an empty list.');
  for (const text of addresses ?? []) {
    if (!text.replace(/^unix:\/\//, '').startsWith('/')) {
      throw new InvalidArgumentError(`address must be the absolute path of a socket, not '${text}'.`);
    }
  }
  if (namespaces?.length === 0) throw new InvalidArgumentError('namespaces must not be an empty list.');
  for (const namespace of namespaces ?? []) {
    if (namespace.length > 76 || !namespaceName.test(namespace)) {
      throw new InvalidArgumentError(`'${namespace}' is no name of a containerd namespace.`);
    }
  }
  if (fifoDirectory !== undefined && !fifoDirectory.startsWith('/')) {
    throw new InvalidArgumentError(`fifoDirectory must be an absolute path, not '${fifoDirectory}'.`);
  }
}
