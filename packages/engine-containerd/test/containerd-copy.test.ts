import { describeCopyMethods } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { createContainerdFixture, describeWithContainerds } from './containerd-fixture.js';

const runner = { describe, test, beforeAll, afterAll };

describeWithContainerds('copying with containerd', ({ daemon }) => {
  // It has no archive streams, and the fixture's containers no volume.
  describeCopyMethods({
    runner,
    createFixture: () => createContainerdFixture(daemon),
    methods: ['host', 'tar', 'chunk'],
  });
});
