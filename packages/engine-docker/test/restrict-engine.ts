import type { EngineDefinition } from '@crikit/core';

/** The same engine as if its API had no user, working directory and environment in exec, no archive and no events. */
export function restrictEngine(definition: EngineDefinition): EngineDefinition {
  return {
    ...definition,
    possibleFeatures: [],
    async connect(context) {
      const driver = await definition.connect(context);
      return {
        ...driver,
        features: {},
        execFields: new Set(['tty', 'stdin'] as const),
        // What is not declared must not arrive.
        startExec(of, { cmd, tty, stdin, columns, rows }, call) {
          const size = columns === undefined || rows === undefined ? {} : { columns, rows };
          return driver.startExec(of, { cmd, tty, stdin, env: [], ...size }, call);
        },
      };
    },
  };
}
