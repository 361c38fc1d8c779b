import { describeSessionBehaviour } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { createContainerdFixture, describeWithContainerds } from './containerd-fixture.js';

describeWithContainerds('sessions on containerd', ({ daemon }) => {
  describeSessionBehaviour({
    runner: { describe, test, beforeAll, afterAll },
    createFixture: () => createContainerdFixture(daemon),
  });
});
