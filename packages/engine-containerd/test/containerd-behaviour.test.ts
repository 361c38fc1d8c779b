import { describeEventsBehaviour, describeExecBehaviour } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { createContainerdFixture, describeWithContainerds } from './containerd-fixture.js';

describeWithContainerds('containerd', ({ daemon }) => {
  const suite = {
    runner: { describe, test, beforeAll, afterAll },
    createFixture: () => createContainerdFixture(daemon),
  };
  describeExecBehaviour(suite);
  describeEventsBehaviour(suite);
});
