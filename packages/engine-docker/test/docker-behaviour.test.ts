import { describeCopyBehaviour, describeEventsBehaviour, describeExecBehaviour } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { createDockerFixture } from './docker-fixture.js';

const runner = { describe, test, beforeAll, afterAll };

describeWithDocker('Docker', ({ socketPath }) => {
  const createFixture = () => createDockerFixture(socketPath);
  describeExecBehaviour({ runner, createFixture });
  describeEventsBehaviour({ runner, createFixture });
  describeCopyBehaviour({ runner, createFixture });
});
