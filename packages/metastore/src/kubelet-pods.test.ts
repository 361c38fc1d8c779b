import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFakeKubelet, type FakeKubelet, type FakeServerOptions } from '@crikit/engine-conformance';
import { afterEach, expect, test } from 'vitest';
import { type KubeletPodsOptions, kubeletPods } from './kubelet-pods.js';
import { type PodSourceRecorder, recordPodSource } from './pod-source-recorder.js';

const fixture = (name: string): string => new URL(`./__fixtures__/${name}`, import.meta.url).pathname;
const tls = {
  key: readFileSync(fixture('loopback-key.pem'), 'utf8'),
  cert: readFileSync(fixture('loopback-certificate.pem'), 'utf8'),
};
const recordedPods = (JSON.parse(readFileSync(fixture('kubelet-pods.json'), 'utf8')) as { items: object[] }).items;
const timings = { requestSpacingMs: 20, maximumBackOffMs: 40, answerTimeoutMs: 500 };

const opened: AsyncDisposable[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each[Symbol.asyncDispose]();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

async function startKubelet(options?: FakeServerOptions): Promise<FakeKubelet> {
  const kubelet = await createFakeKubelet(options);
  opened.push(kubelet);
  return kubelet;
}

function follow(options: KubeletPodsOptions, environment?: Record<string, string>): PodSourceRecorder {
  const recorder = recordPodSource(
    kubeletPods({ timings, intervalMs: 20, hintedIntervalMs: 5, ...options }),
    environment === undefined ? {} : { environment },
  );
  opened.push(recorder);
  return recorder;
}

function tokenFile(token: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'crikit-token-'));
  folders.push(folder);
  const path = join(folder, 'token');
  writeFileSync(path, `${token}\n`);
  return path;
}

const pod = (uid: string, phase = 'Running') => ({
  metadata: { uid, name: `name-of-${uid}`, namespace: 'lab', resourceVersion: '7' },
  spec: { nodeName: 'node-1' },
  status: { phase },
});

test('the recorded pods come as one list; looking again tells nothing', async () => {
  const kubelet = await startKubelet();
  kubelet.setPods(recordedPods);
  const recorder = follow({ url: kubelet.url });
  await recorder.session.ready;
  expect(recorder.names).toEqual(['native-sidecar', 'noimage', 'static-web-lab-node', 'tz']);
  await recorder.until('more looks', () => kubelet.requests.length >= 4);
  expect(recorder.updates).toHaveLength(1);
  expect(recorder.states).toMatchObject([{ state: 'live', backend: 'kubelet' }]);
});

test('a change is found by content, since the resourceVersion stands still', async () => {
  const kubelet = await startKubelet();
  kubelet.setPods([pod('a', 'Pending'), pod('b')]);
  const recorder = follow({ url: kubelet.url });
  await recorder.session.ready;
  const unchanged = recorder.pods.get('b');
  kubelet.setPods([pod('b'), pod('a', 'Running'), pod('c')]);
  await recorder.until('the change', () => recorder.pods.size === 3);
  expect(recorder.updates.slice(1)).toMatchObject([
    { put: [{ metadata: { uid: 'a' }, status: { phase: 'Running' } }, { metadata: { uid: 'c' } }], removedUids: [] },
  ]);
  expect(recorder.pods.get('b')).toBe(unchanged);
  kubelet.setPods([]);
  await recorder.until('the removal', () => recorder.pods.size === 0);
});

test('the read-only port is shown no token', async () => {
  const kubelet = await startKubelet();
  const recorder = follow({ url: kubelet.url, tokenFile: tokenFile('secret') });
  await recorder.session.ready;
  expect(kubelet.requests.every(({ authorization }) => authorization === undefined)).toBe(true);
});

test('with its CA and a token it is believed and lets in; a token that rotates is read anew', async () => {
  const kubelet = await startKubelet({ tls, tokens: ['old'] });
  const path = tokenFile('old');
  const recorder = follow({ url: kubelet.url, tokenFile: path, caFile: fixture('loopback-certificate.pem') });
  await recorder.session.ready;
  kubelet.setTokens(['new']);
  await recorder.until('stale', () => recorder.states.at(-1)?.state === 'stale');
  expect(recorder.states.at(-1)).toMatchObject({ error: { code: 'PERMISSION', status: 401 } });
  writeFileSync(path, 'new');
  await recorder.until('live', () => recorder.states.at(-1)?.state === 'live');
});

test('a certificate that nobody vouches for is refused, and the remedy named, unless told otherwise', async () => {
  const kubelet = await startKubelet({ tls, tokens: ['secret'] });
  const path = tokenFile('secret');
  const careful = follow({ url: kubelet.url, tokenFile: path });
  await careful.until('stale', () => careful.states.at(-1)?.state === 'stale');
  expect(careful.states.at(-1)?.error).toMatchObject({ code: 'UNAVAILABLE', remedy: expect.stringContaining('CA') });
  expect(kubelet.requests).toEqual([]);
  const insecure = follow({ url: kubelet.url, tokenFile: path, insecure: true });
  await insecure.session.ready;
});

test('the name in the certificate counts, and can be given', async () => {
  const kubelet = await startKubelet({ tls });
  const caFile = fixture('loopback-certificate.pem');
  const wrong = follow({ url: kubelet.url, caFile, serverName: 'node-1' });
  await wrong.until('stale', () => wrong.states.at(-1)?.state === 'stale');
  expect(kubelet.requests).toEqual([]);
  await follow({ url: kubelet.url, caFile, serverName: 'localhost' }).session.ready;
});

test('after a hint it looks soon, and more often for a while', async () => {
  const kubelet = await startKubelet();
  const recorder = follow({ url: kubelet.url, intervalMs: 600_000, hintedIntervalMs: 30, hintedForMs: 200 });
  await recorder.session.ready;
  await recorder.until('rest', () => recorder.timers === 1);
  expect(kubelet.requests).toHaveLength(1);
  recorder.session.hint?.();
  kubelet.setPods([pod('a')]);
  await recorder.until('the pod', () => recorder.pods.size === 1);
  recorder.session.hint?.();
  recorder.session.hint?.();
  await recorder.until('several looks', () => kubelet.requests.length >= 4);
  const times = kubelet.requests.slice(1).map(({ timeMs }) => timeMs);
  for (const [index, time] of times.slice(1).entries()) expect(time - (times[index] ?? 0)).toBeGreaterThan(10);
});

test('a kubelet that fails is asked no more than once each spacing, hints or not', async () => {
  const kubelet = await startKubelet();
  kubelet.setFault(() => ({ kind: 'status', status: 500 }));
  const recorder = follow({ url: kubelet.url });
  await recorder.until('six requests', () => {
    recorder.session.hint?.();
    return kubelet.requests.length >= 6;
  });
  const elapsedMs = (kubelet.requests[5]?.timeMs ?? 0) - (kubelet.requests[0]?.timeMs ?? 0);
  expect(elapsedMs).toBeGreaterThanOrEqual(5 * timings.requestSpacingMs - 15);
  expect(recorder.states.at(-1)).toMatchObject({ state: 'stale', error: { status: 500 } });
  kubelet.setFault(() => ({ kind: 'garbage' }));
  await recorder.until('garbage', () => recorder.states.at(-1)?.error?.code === 'PROTOCOL');
  kubelet.setFault(undefined);
  await recorder.session.ready;
});

test('by default it is asked on the address of the node', async () => {
  const recorder = follow({}, { NODE_IP: '127.0.0.1' });
  await recorder.until('stale', () => recorder.states.at(-1)?.state === 'stale');
  expect(recorder.states.at(-1)?.error?.message).toContain('https://127.0.0.1:10250/pods');
});

test('an address that cannot be one is final', async () => {
  const recorder = follow({ url: 'unix:///run/kubelet.sock' });
  await expect(recorder.session.ready).rejects.toMatchObject({ code: 'UNSUPPORTED' });
});

test('when it is closed nothing is left', async () => {
  const kubelet = await startKubelet();
  const recorder = follow({ url: kubelet.url, intervalMs: 600_000 });
  await recorder.session.ready;
  await recorder[Symbol.asyncDispose]();
  expect(recorder.timers).toBe(0);
  await recorder.until('no connection', () => kubelet.connections === 0);
});
