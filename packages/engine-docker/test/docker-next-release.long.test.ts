import { describeCopyBehaviour, describeEventsBehaviour, describeExecBehaviour } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDockerDaemon, ensureImages } from '../../../tools/lab/lab.mjs';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { createDockerFixture } from './docker-fixture.js';

const runner = { describe, test, beforeAll, afterAll };

// The first run downloads the packages of the next Debian release.
describeWithDocker('Docker 26', () => {
  const daemon = createDockerDaemon({ name: 'engine-docker-next', release: 'next' });
  beforeAll(async () => {
    await daemon.start();
    await ensureImages(daemon);
  }, 300_000);
  afterAll(async () => {
    await daemon.destroy();
  });
  const createFixture = () => createDockerFixture(daemon.socketPath);

  test('speaks the newest API that this package knows', async () => {
    expect((await daemon.version()).apiVersion).toBe('1.45');
  });
  describeExecBehaviour({ runner, createFixture });
  describeEventsBehaviour({ runner, createFixture });
  describeCopyBehaviour({ runner, createFixture });
});
