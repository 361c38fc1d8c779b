import { describeEngineConformance } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { describeWithEngine } from '../../../tools/test-support/lab.js';
import { podman } from '../src/podman.js';
import { createPodmanFixture } from './podman-fixture.js';
import { restrictEngine } from './restrict-engine.js';

const runner = { describe, test, beforeAll, afterAll };

describeWithEngine('podman', 'Podman', (lab) => {
  // Without an engine the tests are only counted.
  const definition = podman({ socketPath: lab.socketPath === '' ? '/nonexistent' : lab.socketPath });
  const createFixture = () => createPodmanFixture(lab);

  describeEngineConformance({ runner, definition, createFixture });

  describe('restricted to what the least of engines declares', () => {
    describeEngineConformance({
      runner,
      definition: restrictEngine(definition),
      createFixture,
      engineOptions: { pollIntervalMs: 200 },
    });
  });
});
