import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { connectEngine, registeredEngines } from '@crikit/core';
import { CONFORMANCE_SUITES, describeEngineConformance } from '@crikit/engine-conformance';
import { example } from '../dist/index.js';
import { startExampleDaemon } from './example-daemon.mjs';

const daemon = await startExampleDaemon();
after(() => daemon.close());

describeEngineConformance({
  runner: { describe, test, beforeAll: before, afterAll: after },
  definition: example({ socketPath: daemon.socketPath }),
  // The example daemon has no images. With a real one, leave `suites` out: `exec` and `copy` want the images that
  // `FixtureContainerOptions` describes.
  suites: CONFORMANCE_SUITES.filter((name) => name !== 'exec' && name !== 'copy'),
  async createFixture() {
    const made = [];
    return {
      async runContainer({ env, labels } = {}) {
        const id = daemon.create({ env, labels });
        made.push(id);
        return {
          id,
          target: id,
          stop: async () => daemon.end(id, 137),
          start: async () => daemon.start(id),
          pause: async () => daemon.freeze(id),
          resume: async () => daemon.thaw(id),
          remove: async () => daemon.remove(id),
        };
      },
      async close() {
        for (const id of made) daemon.remove(id);
      },
    };
  },
});

test('importing the package registers the engine', () => {
  assert.ok(registeredEngines().some(({ type }) => type === 'example'));
});

test('commands run, read and fail', async () => {
  const engine = await connectEngine(example({ socketPath: daemon.socketPath }));
  try {
    const id = daemon.create({ env: { GREETING: 'hello' } });
    const { stdout, stderr, exitCode } = await engine.exec(id, {
      cmd: ['sh', '-c', 'echo $GREETING; cat >&2; exit 3'],
      input: 'input',
    });
    assert.deepEqual([stdout.toString(), stderr.toString(), exitCode], ['hello\n', 'input', 3]);
    await assert.rejects(engine.exec(id, { cmd: ['no-such-command'] }), { code: 'COMMAND_NOT_FOUND' });
    await assert.rejects(engine.exec(id, { cmd: ['true'], user: 'app' }), { code: 'UNSUPPORTED' });
  } finally {
    await engine.close();
  }
});
