import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { createCriPod } from '../../../tools/lab/cri-pods.mjs';
import { describePodNetwork, diallers } from '../../../tools/test-support/pod-network-suite.js';
import { connectContainerd, createContainerdFixture, describeWithContainerds } from './containerd-fixture.js';

describeWithContainerds('sockets in a pod’s network on containerd', ({ daemon, state }) => {
  const connect = () => connectContainerd(daemon.socketPath);
  describePodNetwork({
    createFixture: () => createContainerdFixture(daemon),
    connect,
    agentArguments: (id) => [`${import.meta.dirname}/dial-agent.mjs`, daemon.socketPath, 'default', id],
  });

  test('a pod in the node’s network needs no process', async () => {
    const server = createServer((socket) => socket.end('of the node'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const pod = await createCriPod(state, { name: 'in-the-node-network', containers: [{ name: 'main' }] });
    const engine = await connect();
    try {
      const before = diallers();
      const { port } = server.address() as AddressInfo;
      const socket = await engine.dial({ scope: 'k8s.io', id: pod.containers.main as string }, { port });
      const [said] = (await once(socket, 'data')) as [Buffer];
      expect(said.toString()).toBe('of the node');
      socket.destroy();
      expect(diallers()).toEqual(before);
    } finally {
      await engine.close();
      await pod.remove();
      server.close();
    }
  });
});
