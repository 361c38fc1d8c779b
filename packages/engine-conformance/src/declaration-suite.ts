/** That an engine says of itself what is true: what it declares is there, and what is there is declared. */
import assert from 'node:assert/strict';
import { ENGINE_CONTRACT_VERSION, type EngineFeature, type ExecField } from '@crikit/core';
import type { DriverFixture, DriverSuiteOptions, FixtureContainer } from './engine-fixture.js';
import { skipTest } from './suite-runner.js';

const membersOf: Readonly<Record<string, readonly string[]>> = {
  events: ['openEvents'],
  archive: ['getArchive', 'putArchive'],
};
const execFields: readonly ExecField[] = ['user', 'workingDir', 'env', 'tty', 'stdin'];

export function describeDeclaration({ runner, definition, createFixture }: DriverSuiteOptions): void {
  const { describe, test, beforeAll, afterAll } = runner;

  describe('declaration', () => {
    let fixture: DriverFixture;
    let container: FixtureContainer;
    beforeAll(async () => {
      fixture = await createFixture();
      container = await fixture.runContainer();
    });
    afterAll(async () => {
      await fixture?.close();
    });

    test('names its contract, its type and its package', async () => {
      assert.equal(definition.contractVersion, ENGINE_CONTRACT_VERSION);
      assert.match(definition.type, /^[a-z][a-z0-9-]*$/);
      assert.notEqual(definition.packageName, '');
      assert.match(definition.packageVersion, /^\d+\.\d+\.\d+/);
      assert.equal(new Set(definition.possibleFeatures).size, definition.possibleFeatures.length);
    });

    test('gives the driver an identity and limits', async () => {
      const { driver, engine } = fixture;
      assert.ok(driver.id.startsWith(`${definition.type}:`), `'${driver.id}' does not begin with the type`);
      assert.equal(engine.type, definition.type);
      assert.ok(driver.containerIdSchemes.length > 0);
      for (const scheme of driver.containerIdSchemes) assert.match(scheme, /^[a-z][a-z0-9+.-]*$/);
      assert.ok(['this-kernel', 'elsewhere'].includes(driver.locality));
      for (const limit of [driver.limits.parallelDetails, driver.limits.parallelExecStarts]) {
        assert.ok(Number.isInteger(limit) && limit >= 1, `${limit} is no limit`);
      }
      for (const field of driver.execFields) assert.ok(execFields.includes(field), `${field} is no field of an exec`);
    });

    test('has only features that the definition names, and all their functions', async () => {
      const { driver, engine } = fixture;
      for (const [feature, implementation] of Object.entries(driver.features)) {
        const name = feature as EngineFeature;
        assert.ok(definition.possibleFeatures.includes(name), `the definition does not name the feature ${name}`);
        assert.equal(typeof implementation, 'object', name);
        for (const member of membersOf[name] ?? []) {
          const value = (implementation as unknown as Readonly<Record<string, unknown>>)[member];
          assert.equal(typeof value, 'function', `${name}.${member}`);
        }
      }
      for (const feature of Object.keys(membersOf) as EngineFeature[]) {
        assert.equal(engine.supports(feature), driver.features[feature] !== undefined, feature);
        assert.equal(engine.feature(feature), driver.features[feature], feature);
      }
    });

    test('is found by its probe', async () => {
      const report = await definition.probe({
        hostRoot: '/',
        environment: process.env,
        logger: { debug() {}, info() {}, warn() {}, error() {} },
        signal: AbortSignal.timeout(5_000),
      });
      assert.equal(report.status, 'available', JSON.stringify(report.attempts));
      assert.ok(report.attempts.some(({ outcome, step }) => outcome === 'ok' && step === 'done'));
      for (const { endpoint, message } of report.attempts) assert.ok(endpoint !== '' && message !== '');
    });

    for (const [field, request] of [
      ['user', { user: '0' }],
      ['tty', { tty: true }],
      ['stdin', { input: 'x' }],
    ] as const) {
      test(`without the exec field ${field}, a request for it is refused before it travels`, async (...context) => {
        if (fixture.driver.execFields.has(field)) {
          skipTest(context, `the engine declares ${field}`);
          return;
        }
        const command = fixture.engine.exec(container.target, { cmd: ['true'], ...request });
        await assert.rejects(command, { code: 'UNSUPPORTED', applied: 'no' });
      });
    }

    test('of what cannot be copied is a typed refusal', async (...context) => {
      const detail = await fixture.engine.getContainerDetail(container.target);
      if (fixture.engine.supports('copy', detail)) {
        skipTest(context, 'the engine can copy');
        return;
      }
      const copy = fixture.engine.copyFromContainer(detail, '/etc/passwd', '/nonexistent/passwd');
      await assert.rejects(copy, { code: 'UNSUPPORTED', applied: 'no' });
    });
  });
}
