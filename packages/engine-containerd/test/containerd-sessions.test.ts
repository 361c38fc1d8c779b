import { describeSessionBehaviour } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { createContainerdFixture, describeWithContainerds } from './containerd-fixture.js';

const runner = { describe, test, beforeAll, afterAll };

describeWithContainerds('sessions on containerd', ({ daemon }) => {
  describeSessionBehaviour({ runner, createFixture: () => createContainerdFixture(daemon) });
});
