import type { KubernetesNode, Pod } from '@crikit/core';
import { createFakeApiServer, createInMemoryEngine, waitUntil } from '@crikit/engine-conformance';
import { afterEach, describe, expect, test } from 'vitest';
import { apiServerPods } from './api-server-pods.js';
import { createMetaStore } from './create-meta-store.js';
import { describeLocalAgent, type LocalAgentSources } from './local-agent-meta.js';

const opened: AsyncDisposable[] = [];

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each[Symbol.asyncDispose]();
});

const node = {
  metadata: { name: 'node-1' },
  status: {
    addresses: [
      { type: 'Hostname', address: 'node-1' },
      { type: 'InternalIP', address: '192.168.0.1' },
    ],
  },
} satisfies KubernetesNode;

describe('the local agent', () => {
  const describeWith = (sources: Partial<LocalAgentSources>) =>
    describeLocalAgent({ environment: {}, nodeName: undefined, node: undefined, findPod: () => undefined, ...sources });

  test('is what the downward API says', () => {
    const environment = {
      POD_NAMESPACE: 'kube-system',
      POD_NAME: 'agent-x7k2p',
      POD_IP: '10.0.0.3',
      NODE_NAME: 'node-1',
      HOST_IP: '192.168.0.1',
    };
    const { isLocalPod: _isLocalPod, ...values } = describeWith({ environment });
    expect(values).toEqual({
      namespace: 'kube-system',
      podName: 'agent-x7k2p',
      podIP: '10.0.0.3',
      nodeName: 'node-1',
      nodeIP: '192.168.0.1',
    });
    expect(describeWith({ environment: { ...environment, NODE_IP: '192.168.0.2' } }).nodeIP).toBe('192.168.0.2');
  });

  test('what the environment does not tell comes from the agent’s own pod and from the node', () => {
    const environment = { POD_NAMESPACE: 'kube-system', POD_NAME: 'agent-x7k2p' };
    const own = { ip: '10.0.0.3', hostIP: '192.168.0.9', object: { spec: { nodeName: 'node-9' } } } as Pod;
    const findPod = (namespace: string, name: string): Pod | undefined =>
      namespace === 'kube-system' && name === 'agent-x7k2p' ? own : undefined;
    expect(describeWith({ environment, findPod })).toMatchObject({
      podIP: '10.0.0.3',
      nodeName: 'node-9',
      nodeIP: '192.168.0.9',
    });
    expect(describeWith({ environment, findPod, node })).toMatchObject({ nodeName: 'node-1', nodeIP: '192.168.0.1' });
  });

  test('what nothing tells is absent', () => {
    expect(Object.keys(describeWith({}))).toEqual(['isLocalPod']);
  });

  test('tells the pods of its node from others', () => {
    const { isLocalPod } = describeWith({ nodeName: 'node-1' });
    expect(isLocalPod({ spec: { nodeName: 'node-1' } })).toBe(true);
    expect(isLocalPod({ spec: { nodeName: 'node-2' } })).toBe(false);
    expect(isLocalPod({ uid: 'x', object: { spec: { nodeName: 'node-2' } } } as Pod)).toBe(false);
    expect(isLocalPod({ uid: 'made-from-containers' } as Pod)).toBe(true);
    const byIp = describeWith({ environment: { NODE_IP: '192.168.0.1' } });
    expect(byIp.isLocalPod({ status: { hostIP: '192.168.0.1' } })).toBe(true);
    expect(byIp.isLocalPod({ status: { hostIP: '192.168.0.2' } })).toBe(false);
    expect(describeWith({}).isLocalPod({ status: { hostIP: '192.168.0.2' } })).toBe(false);
  });
});

describe('the Node object', () => {
  const timings = { requestSpacingMs: 20, maximumBackOffMs: 40, answerTimeoutMs: 500 };

  async function startStore(watchNode?: boolean) {
    const server = await createFakeApiServer();
    opened.push(server);
    server.put('nodes', {
      ...node,
      metadata: { ...node.metadata, labels: { zone: 'a' }, managedFields: [{ manager: 'kubelet' }] },
      status: { ...node.status, images: [{ names: ['heavy'] }] },
    });
    server.put('nodes', { metadata: { name: 'node-2' } });
    const store = createMetaStore({
      engines: [createInMemoryEngine().definition],
      pods: apiServerPods({
        name: 'fake',
        timings,
        connect: async () => ({ server: server.url, nodeName: 'node-1', credentials: async () => ({}) }),
      }),
      environment: {},
      enrichment: false,
      ...(watchNode === undefined ? {} : { watchNode }),
    });
    opened.push(store);
    await store.start({ requireReady: true });
    return { server, store };
  }

  test('is watched, this one node alone, without what is heavy', async () => {
    const { server, store } = await startStore();
    await waitUntil('the node', () => store.localAgentMeta().node !== undefined);
    expect(store.localAgentMeta()).toMatchObject({ nodeName: 'node-1', nodeIP: '192.168.0.1' });
    expect(store.localAgentMeta().node).not.toHaveProperty('metadata.managedFields');
    expect(store.localAgentMeta().node).not.toHaveProperty('status.images');
    const asked = server.requests.filter(({ path }) => path === '/api/v1/nodes');
    expect(asked.every(({ query }) => query.get('fieldSelector') === 'metadata.name=node-1')).toBe(true);

    await waitUntil('both watches', () => server.watches === 2);
    server.put('nodes', { ...node, metadata: { ...node.metadata, labels: { zone: 'b' } } });
    await waitUntil('the change', () => store.localAgentMeta().node?.metadata?.labels?.zone === 'b');
    server.remove('nodes', 'node-1');
    await waitUntil('the removal', () => store.localAgentMeta().node === undefined);
  });

  test('without the right to read it the store works all the same, and gets it when the right comes', async () => {
    const { server, store } = await startStore();
    server.setFault(({ path }) => (path === '/api/v1/nodes' ? { kind: 'status', status: 403 } : undefined));
    server.dropConnections();
    const before = server.requests.length;
    await waitUntil(
      'three refusals',
      () => server.requests.slice(before).filter(({ path }) => path === '/api/v1/nodes').length >= 3,
    );
    await waitUntil('pods', () => store.status().ready);
    server.setFault(undefined);
    server.put('nodes', { ...node, metadata: { ...node.metadata, labels: { zone: 'late' } } });
    await waitUntil('the node', () => store.localAgentMeta().node?.metadata?.labels?.zone === 'late');
  });

  test('is not asked for when it is not wanted', async () => {
    const { server, store } = await startStore(false);
    await waitUntil('the watch of pods', () => server.watches === 1);
    expect(server.requests.filter(({ path }) => path.includes('nodes'))).toEqual([]);
    expect(store.localAgentMeta().node).toBeUndefined();
  });
});
