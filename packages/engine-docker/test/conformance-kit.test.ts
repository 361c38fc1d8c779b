/**
 * The kit itself, with real commands: that its suites pass for an engine that has little and says so, and fail for one
 * that breaks the contract.
 */
import { PassThrough, Transform } from 'node:stream';
import type { EngineDefinition, EngineDriver, ExecHandle } from '@crikit/core';
import { type ConformanceSuite, describeEngineConformance } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { runSuites } from '../../../tools/test-support/run-suites.js';
import { docker } from '../src/docker.js';
import { createDockerFixture } from './docker-fixture.js';
import { restrictEngine } from './restrict-engine.js';

type Change = (driver: EngineDriver) => Partial<EngineDriver>;

const withExec =
  (change: (handle: ExecHandle) => Partial<ExecHandle>): Change =>
  (driver) => ({
    async startExec(of, request, call) {
      const handle = await driver.startExec(of, request, call);
      return { ...handle, ...change(handle) };
    },
  });

const breakages: Readonly<Record<string, { suite: ConformanceSuite; fails: string; change: Change }>> = {
  'that loses what a command writes to stderr': {
    suite: 'exec',
    fails: 'carry the command, the exit code and both outputs',
    change: withExec(({ stderr }) => {
      stderr?.resume();
      return { stderr: new PassThrough().end() };
    }),
  },
  'that takes every end for success': {
    suite: 'exec',
    fails: 'carry the command, the exit code and both outputs',
    change: withExec(({ exit }) => ({ exit: exit.then(() => ({ kind: 'exited', exitCode: 0 })) })),
  },
  'that takes output for text': {
    suite: 'exec',
    fails: 'have every byte as it was',
    change: withExec(({ stdout }) => ({ stdout: stdout.pipe(asText()) })),
  },
  'that declares a user and ignores it': {
    suite: 'exec',
    fails: 'runs as app',
    change: (driver) => ({
      startExec: (of, { user: _, ...request }, call) => driver.startExec(of, request, call),
    }),
  },
  'that unpacks files with modes of its own': {
    suite: 'copy',
    fails: 'a file goes in and comes out with its content and mode',
    change: (driver) => ({
      // Where its files cannot be reached from the host the engine's own archive serves.
      locality: 'elsewhere',
      features: {
        ...driver.features,
        archive: {
          getArchive: (of, path, call) => archiveOf(driver).getArchive(of, path, call),
          putArchive: (of, directory, tar, call) =>
            archiveOf(driver).putArchive(of, directory, tar.pipe(withMode('0000600')), call),
        },
      },
    }),
  },
};

describeWithDocker('The suites, on an engine', ({ socketPath }) => {
  // Without an engine the tests are only counted.
  const definition = docker({ socketPath: socketPath === '' ? '/nonexistent' : socketPath });
  const createFixture = () => createDockerFixture(socketPath);

  describe('that is restricted to what the least of engines declares', () => {
    describeEngineConformance({
      runner: { describe, test, beforeAll, afterAll },
      definition: restrictEngine(definition),
      createFixture,
      engineOptions: { pollIntervalMs: 200 },
    });
  });

  test.each(Object.entries(breakages))('%s, fail', async (_, { suite, fails, change }) => {
    const broken: EngineDefinition = {
      ...definition,
      async connect(context) {
        const driver = await definition.connect(context);
        return { ...driver, ...change(driver) };
      },
    };
    const outcomes = await runSuites(
      (runner) =>
        describeEngineConformance({
          runner,
          definition: broken,
          createFixture,
          suites: [suite],
        }),
      { bail: true },
    );
    const failed = outcomes.filter(({ outcome }) => outcome === 'failed');
    expect(failed.map(({ path }) => path.at(-1))).toEqual([fails]);
  });
});

function archiveOf(driver: EngineDriver) {
  const { archive } = driver.features;
  if (archive === undefined) throw new Error('the engine has no archive');
  return archive;
}

/** Changes the first header of a tar: the mode is at 100, the checksum over all with spaces in its place at 148. */
function withMode(mode: string): Transform {
  let isFirst = true;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (isFirst) {
        isFirst = false;
        chunk.write(mode, 100, 'latin1');
        chunk.write(' '.repeat(8), 148, 'latin1');
        const sum = chunk.subarray(0, 512).reduce((total, byte) => total + byte, 0);
        chunk.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
      }
      done(null, chunk);
    },
  });
}

function asText(): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      done(null, Buffer.from(chunk.toString()));
    },
  });
}
