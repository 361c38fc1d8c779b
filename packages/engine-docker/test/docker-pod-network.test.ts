import { connectEngine } from '@crikit/core';
import { waitUntil } from '@crikit/engine-conformance';
import { expect, test } from 'vitest';
import { createKubeletStylePod } from '../../../tools/lab/lab.mjs';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { describePodNetwork, diallers } from '../../../tools/test-support/pod-network-suite.js';
import { docker } from '../src/docker.js';
import { createDockerFixture } from './docker-fixture.js';

describeWithDocker('sockets in a pod’s network on Docker', ({ socketPath }) => {
  const connect = () => connectEngine(docker({ socketPath }));
  describePodNetwork({
    createFixture: () => createDockerFixture(socketPath),
    connect,
    agentArguments: (id) => [`${import.meta.dirname}/dial-agent.mjs`, socketPath, id],
  });

  test('containers of one pod share one process', async () => {
    const engine = await connect();
    const serve = 'exec nc -ll -p 9000 -e echo hello';
    const pod = await createKubeletStylePod(socketPath, {
      namespace: 'network',
      name: 'web-0',
      containers: [{ name: 'a', cmd: ['sh', '-c', serve] }, { name: 'b' }],
    });
    try {
      const before = diallers();
      const [first = '', second = ''] = Object.values(pod.containers) as string[];
      await waitUntil('the port is open', () =>
        engine.dial(first, { port: 9000 }).then(
          (socket) => Boolean(socket.destroy()),
          () => false,
        ),
      );
      (await engine.dial(second, { port: 9000 })).destroy();
      expect(diallers()).toHaveLength(before.length + 1);
    } finally {
      await engine.close();
      await pod.remove();
    }
  });
});
