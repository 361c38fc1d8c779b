import { describeEngineConformance } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { docker } from '../src/docker.js';
import { createDockerFixture } from './docker-fixture.js';

describeWithDocker('Docker', ({ socketPath }) => {
  describeEngineConformance({
    runner: { describe, test, beforeAll, afterAll },
    // Without an engine the tests are only counted.
    definition: docker({ socketPath: socketPath === '' ? '/nonexistent' : socketPath }),
    createFixture: () => createDockerFixture(socketPath),
  });
});
