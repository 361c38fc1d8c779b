import { describeEngineConformance } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { containerd } from '../src/containerd.js';
import { createContainerdFixture, describeWithContainerds } from './containerd-fixture.js';

describeWithContainerds('containerd', ({ daemon }) => {
  describeEngineConformance({
    runner: { describe, test, beforeAll, afterAll },
    definition: containerd({ address: daemon.socketPath, namespaces: ['k8s.io', 'default'] }),
    createFixture: () => createContainerdFixture(daemon),
  });
});
