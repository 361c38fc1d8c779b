// @ts-check
import { docker } from '@crikit/engine-docker';

/**
 * The Docker engine, with a count of the containers it was asked for and of its list calls.
 * @param {string} socketPath
 */
export function countingDocker(socketPath) {
  const counts = { calls: 0 };
  const definition = docker({ socketPath });
  /** @type {import('@crikit/core').EngineDefinition} */
  const counting = {
    ...definition,
    async connect(context) {
      const driver = await definition.connect(context);
      /** @type {import('@crikit/core').EngineDriver} */
      const counted = {
        ...driver,
        listAllContainers(call) {
          counts.calls += 1;
          return driver.listAllContainers(call);
        },
        getContainerDetails(of, call) {
          counts.calls += of === 'all' ? 1 : of.length;
          return driver.getContainerDetails(of, call);
        },
        [Symbol.asyncDispose]: () => driver[Symbol.asyncDispose](),
      };
      return counted;
    },
  };
  return { definition: counting, counts };
}
