import { describeEngineConformance } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { describeWithEngine } from '../../../tools/test-support/lab.js';
import { podman } from '../src/podman.js';
import { createPodmanFixture } from './podman-fixture.js';

describeWithEngine('podman', 'Podman', (lab) => {
  describeEngineConformance({
    runner: { describe, test, beforeAll, afterAll },
    // Without an engine the tests are only counted.
    definition: podman({ socketPath: lab.socketPath === '' ? '/nonexistent' : lab.socketPath }),
    createFixture: () => createPodmanFixture(lab),
  });
});
