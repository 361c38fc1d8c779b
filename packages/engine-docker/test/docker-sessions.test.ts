import { describeSessionBehaviour } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { createDockerFixture } from './docker-fixture.js';

const runner = { describe, test, beforeAll, afterAll };

describeWithDocker('sessions on Docker', ({ socketPath }) => {
  describeSessionBehaviour({ runner, createFixture: () => createDockerFixture(socketPath) });
});
