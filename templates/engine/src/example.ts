import { createRequire } from 'node:module';
import { ENGINE_CONTRACT_VERSION, type EngineDefinition, InvalidArgumentError } from '@crikit/core';

const { name, version } = createRequire(import.meta.url)('../package.json') as { name: string; version: string };

export interface ExampleOptions {
  /** Absolute path of the daemon's socket. Default: `EXAMPLE_SOCK` of the environment, else `/run/example.sock`. */
  readonly socketPath?: string;
}

/** The example daemon as an engine, with its options bound. Nothing is connected or loaded yet. */
export function example(options: ExampleOptions = {}): EngineDefinition {
  if (options.socketPath !== undefined && !options.socketPath.startsWith('/')) {
    throw new InvalidArgumentError(`socketPath must be an absolute path, not '${options.socketPath}'.`);
  }
  return {
    contractVersion: ENGINE_CONTRACT_VERSION,
    type: 'example',
    packageName: name,
    packageVersion: version,
    // Add 'events' and 'archive' here and to the driver when the daemon can do them.
    possibleFeatures: [],
    async probe(context) {
      const { probeExample } = await import('./probe-example.js');
      return probeExample(options, context);
    },
    async connect(context) {
      const { connectExample } = await import('./example-driver.js');
      return connectExample(options, context);
    },
  };
}
