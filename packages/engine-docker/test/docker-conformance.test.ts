import { CONFORMANCE_SUITES, describeEngineConformance } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { docker } from '../src/docker.js';
import { createDockerFixture } from './docker-fixture.js';

/** These have a file of their own. */
const others = new Set(['exec', 'events', 'copy']);

describeWithDocker('Docker', ({ socketPath }) => {
  describeEngineConformance({
    runner: { describe, test, beforeAll, afterAll },
    definition: docker({ socketPath: socketPath === '' ? '/nonexistent' : socketPath }),
    createFixture: () => createDockerFixture(socketPath),
    suites: CONFORMANCE_SUITES.filter((name) => !others.has(name)),
  });
});
