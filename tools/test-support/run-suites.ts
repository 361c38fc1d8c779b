/** A test runner in a function: for tests about suites, which must be seen to fail. */
import type { SuiteRunner } from '../../packages/engine-conformance/src/suite-runner.js';

export interface SuiteOutcome {
  /** Names of the suites around it and its own. */
  readonly path: readonly string[];
  readonly outcome: 'passed' | 'failed' | 'skipped';
  readonly reason?: string;
}

interface Suite {
  readonly name: string;
  readonly parent: Suite | undefined;
  readonly tests: { readonly name: string; readonly run: (...context: unknown[]) => Promise<void> }[];
  readonly suites: Suite[];
  readonly before: (() => Promise<void>)[];
  readonly after: (() => Promise<void>)[];
}

/** Runs what `define` defines, in its order. With `bail` a suite ends at its first failure. */
export async function runSuites(
  define: (runner: SuiteRunner) => void,
  { bail = false, only = () => true }: { bail?: boolean; only?: (path: readonly string[]) => boolean } = {},
): Promise<SuiteOutcome[]> {
  const root = createSuite('', undefined);
  let current = root;
  define({
    describe(name, defineSuite) {
      const suite = createSuite(name, current);
      current.suites.push(suite);
      current = suite;
      defineSuite();
      current = suite.parent ?? root;
    },
    test: (name, run) => void current.tests.push({ name, run }),
    beforeAll: (run) => void current.before.push(run),
    afterAll: (run) => void current.after.push(run),
  });

  const outcomes: SuiteOutcome[] = [];
  const runSuite = async (suite: Suite, path: readonly string[]): Promise<boolean> => {
    let failed = false;
    const attempt = async (
      name: string,
      run: (...context: unknown[]) => Promise<void>,
      report = true,
    ): Promise<void> => {
      let skipped: string | undefined;
      const context = {
        skip(reason: string) {
          skipped = reason;
        },
      };
      try {
        await run(context);
        if (!report) return;
        outcomes.push({
          path: [...path, name],
          outcome: skipped === undefined ? 'passed' : 'skipped',
          ...(skipped === undefined ? {} : { reason: skipped }),
        });
      } catch (error) {
        failed = true;
        outcomes.push({ path: [...path, name], outcome: 'failed', reason: String((error as Error)?.message ?? error) });
      }
    };
    const tests = suite.tests.filter(({ name }) => only([...path, name]));
    if (tests.length > 0 || suite.suites.length > 0) {
      for (const run of suite.before) await attempt('before all', run, false);
      for (const { name, run } of tests) if (!(bail && failed)) await attempt(name, run);
      for (const inner of suite.suites) {
        if (!(bail && failed)) failed = (await runSuite(inner, [...path, inner.name])) || failed;
      }
      for (const run of suite.after) await attempt('after all', run, false);
    }
    return failed;
  };
  for (const suite of root.suites) await runSuite(suite, [suite.name]);
  return outcomes;
}

function createSuite(name: string, parent: Suite | undefined): Suite {
  return { name, parent, tests: [], suites: [], before: [], after: [] };
}
