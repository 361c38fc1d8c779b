/** The tests that an engine package must pass, put together from its definition. */
import {
  type ContainerEngineOptions,
  createContainerEngine,
  defaultHostRoot,
  type EngineDefinition,
  silentLogger,
} from '@crikit/core';
import { describeAbortBehaviour } from './abort-suite.js';
import { describeCloseBehaviour } from './close-suite.js';
import { describeCopyBehaviour } from './copy-suite.js';
import { describeDeclaration } from './declaration-suite.js';
import { describeDetailBehaviour } from './detail-suite.js';
import type { ContainerFixture, DriverFixture, DriverSuiteOptions } from './engine-fixture.js';
import { describeErrorBehaviour } from './errors-suite.js';
import { describeEventsBehaviour } from './events-suite.js';
import { describeExecBehaviour } from './exec-suite.js';
import { describeLeakBehaviour } from './leaks-suite.js';
import { describeListBehaviour } from './list-suite.js';
import { type SuiteRunner, skipTest } from './suite-runner.js';

const suites = {
  declaration: describeDeclaration,
  list: describeListBehaviour,
  detail: describeDetailBehaviour,
  exec: describeExecBehaviour,
  events: describeEventsBehaviour,
  copy: describeCopyBehaviour,
  errors: describeErrorBehaviour,
  abort: describeAbortBehaviour,
  close: describeCloseBehaviour,
  leaks: describeLeakBehaviour,
} as const satisfies Record<string, (options: DriverSuiteOptions) => void>;

export type ConformanceSuite = keyof typeof suites;

/** All suites, in the order in which they run. */
export const CONFORMANCE_SUITES = Object.freeze(Object.keys(suites) as ConformanceSuite[]);

export interface EngineConformanceOptions {
  /** The functions of the test runner: `{ describe, test, beforeAll, afterAll }` of vitest, for example. */
  readonly runner: SuiteRunner;
  /** The engine under test, its options bound so that it finds the daemon that `createFixture` makes containers in. */
  readonly definition: EngineDefinition;
  /** Called once a suite, and in some tests again. */
  createFixture(): Promise<ContainerFixture>;
  /** Those to run; each of the others is reported as one skipped test. Default: all. */
  readonly suites?: readonly ConformanceSuite[];
  /** For the engines that the suites make. Default: core's own defaults. */
  readonly engineOptions?: ContainerEngineOptions;
}

/**
 * Defines the suites. Nothing is switched off by a list of exceptions: what an engine does not declare (features, fields
 * of an exec request) is reported as skipped, and that it is refused as core promises is tested instead.
 */
export function describeEngineConformance(options: EngineConformanceOptions): void {
  const { runner, definition, suites: wanted = CONFORMANCE_SUITES } = options;
  const createFixture = (): Promise<DriverFixture> => connectFixture(options);
  runner.describe(`${definition.packageName} conforms`, () => {
    for (const name of CONFORMANCE_SUITES) {
      if (wanted.includes(name)) {
        suites[name]({ runner, definition, createFixture });
      } else {
        runner.test(`${name} [skipped: not asked for]`, async (...context) => skipTest(context, 'not asked for'));
      }
    }
  });
}

async function connectFixture({
  definition,
  createFixture,
  engineOptions,
}: EngineConformanceOptions): Promise<DriverFixture> {
  const fixture = await createFixture();
  try {
    const driver = await definition.connect({
      hostRoot: engineOptions?.hostRoot ?? defaultHostRoot(),
      environment: process.env,
      logger: engineOptions?.logger ?? silentLogger,
      signal: new AbortController().signal,
    });
    const engine = createContainerEngine(definition, driver, engineOptions);
    return {
      mayLoseOutputOnUnreadInput: fixture.mayLoseOutputOnUnreadInput ?? false,
      runContainer: (containerOptions) => fixture.runContainer(containerOptions),
      engine,
      driver,
      async close() {
        try {
          await engine.close();
        } finally {
          await fixture.close();
        }
      },
    };
  } catch (error) {
    await fixture.close();
    throw error;
  }
}
