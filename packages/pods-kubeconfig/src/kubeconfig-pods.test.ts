import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@crikit/core';
import { createFakeApiServer, type FakeApiServer, waitUntil } from '@crikit/engine-conformance';
import type { PodSourceSession, PodSourceState, PodUpdate } from '@crikit/metastore';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type KubeconfigPodsOptions, kubeconfigPods } from './kubeconfig-pods.js';

const fixture = (name: string): string =>
  readFileSync(new URL(`../../metastore/src/__fixtures__/${name}`, import.meta.url), 'utf8');
const tls = { key: fixture('loopback-key.pem'), cert: fixture('loopback-certificate.pem') };
const base64 = (text: string): string => Buffer.from(text).toString('base64');

let folder: string;
let server: FakeApiServer;
const sessions: PodSourceSession[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'crikit-kubeconfig-'));
  server = await createFakeApiServer({ tls, tokens: ['secret'] });
});
afterEach(async () => {
  for (const session of sessions.splice(0)) await session[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

function writeKubeconfig(user: object, cluster: object = {}): string {
  const path = join(folder, 'config');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'lab',
    contexts: [
      { name: 'lab', context: { cluster: 'lab', user: 'agent' } },
      { name: 'nowhere', context: { cluster: 'nowhere', user: 'agent' } },
    ],
    clusters: [
      { name: 'lab', cluster: { server: server.url, 'certificate-authority-data': base64(tls.cert), ...cluster } },
      { name: 'nowhere', cluster: { server: 'https://127.0.0.1:1' } },
    ],
    users: [{ name: 'agent', user }],
  };
  // YAML includes JSON.
  writeFileSync(path, JSON.stringify(config));
  return path;
}

function follow(options: Partial<KubeconfigPodsOptions>, environment: Record<string, string> = {}) {
  const states: PodSourceState[] = [];
  const updates: PodUpdate[] = [];
  const source = kubeconfigPods({
    nodeName: 'node-1',
    timings: { requestSpacingMs: 20, maximumBackOffMs: 40 },
    ...options,
  });
  const session = source.open?.({
    environment,
    hostRoot: '/',
    logger: silentLogger,
    clock: {
      now: () => Date.now(),
      setTimer: (run, delayMs) => {
        const timer = setTimeout(run, delayMs);
        return () => clearTimeout(timer);
      },
    },
    onUpdate: (update) => updates.push(update),
    onState: (state) => states.push(state),
  });
  if (session === undefined) throw new Error('the source cannot be opened');
  sessions.push(session);
  return { ready: session.ready, states, updates };
}

const pod = { metadata: { name: 'one', namespace: 'lab' }, spec: { nodeName: 'node-1' }, status: { phase: 'Running' } };

test('a token and a CA in the file lead to the pods of the node', async () => {
  server.put('pods', pod);
  const { ready, updates } = follow({ kubeconfig: writeKubeconfig({ token: 'secret' }) });
  await ready;
  expect(updates).toMatchObject([{ kind: 'replace', pods: [{ metadata: { name: 'one' } }] }]);
  await server.seen(({ query }) => query.has('watch'));
});

test('the file is found by the environment', async () => {
  const path = writeKubeconfig({ token: 'secret' });
  await follow({}, { KUBECONFIG: `${join(folder, 'missing')}:${path}` }).ready;
});

test('a client certificate in the file is shown', async () => {
  const strict = await createFakeApiServer({ tls: { ...tls, clientCa: tls.cert } });
  const certificate = { 'client-certificate-data': base64(tls.cert), 'client-key-data': base64(tls.key) };
  try {
    const without = follow({ kubeconfig: writeKubeconfig({}, { server: strict.url }) });
    await waitUntil('refused', () => without.states.at(-1)?.state === 'stale');
    await follow({ kubeconfig: writeKubeconfig(certificate, { server: strict.url }) }).ready;
  } finally {
    for (const session of sessions.splice(0)) await session[Symbol.asyncDispose]();
    await strict[Symbol.asyncDispose]();
  }
});

test('an exec plugin is asked for the token', async () => {
  const plugin = join(folder, 'plugin.sh');
  const credential = {
    apiVersion: 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    status: { token: 'secret' },
  };
  writeFileSync(plugin, `#!/bin/sh\necho '${JSON.stringify(credential)}'\n`, { mode: 0o755 });
  const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: plugin, interactiveMode: 'Never' };
  await follow({ kubeconfig: writeKubeconfig({ exec }) }).ready;
  expect(server.requests.every(({ authorization }) => authorization === 'Bearer secret')).toBe(true);
});

test('an exec plugin that fails is told of, and asked again', async () => {
  const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: '/bin/false', interactiveMode: 'Never' };
  const { states } = follow({ kubeconfig: writeKubeconfig({ exec }) });
  await waitUntil('stale', () => states.at(-1)?.state === 'stale');
  expect(states.at(-1)?.error).toMatchObject({ code: 'PERMISSION', retryable: true });
  expect(server.requests).toEqual([]);
});

test('the context that is asked for counts', async () => {
  const { states } = follow({ kubeconfig: writeKubeconfig({ token: 'secret' }), context: 'nowhere' });
  await waitUntil('stale', () => states.at(-1)?.state === 'stale');
  expect(states.at(-1)?.error?.message).toContain('127.0.0.1:1/');
  expect(server.requests).toEqual([]);
});

test.each([
  ['no file', { kubeconfig: '/nonexistent/config' }, '/nonexistent/config'],
  ['no such context', { context: 'other' }, 'It has lab, nowhere.'],
  ['nothing in the environment', { kubeconfig: undefined }, 'KUBECONFIG'],
])('%s is final, and the error says what to do', async (_, change, part) => {
  const { kubeconfig, ...rest } = { kubeconfig: writeKubeconfig({ token: 'secret' }), ...change } as {
    kubeconfig?: string;
    context?: string;
  };
  const options = kubeconfig === undefined ? rest : { ...rest, kubeconfig };
  await expect(follow(options, { HOME: folder }).ready).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    message: expect.stringContaining(part),
  });
});

test('a node name that would be a selector of its own is refused', async () => {
  const { ready } = follow({ kubeconfig: writeKubeconfig({ token: 'secret' }), nodeName: 'a,metadata.name!=b' });
  await expect(ready).rejects.toMatchObject({ code: 'UNSUPPORTED' });
});
