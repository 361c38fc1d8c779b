import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createFakeApiServer,
  createFakeKubelet,
  type FakeApiServer,
  type FakeKubelet,
} from '@crikit/engine-conformance';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type DefaultPodsOptions, defaultPods } from './default-pods.js';
import { inClusterPods } from './in-cluster-pods.js';
import { type PodSourceRecorder, recordPodSource } from './pod-source-recorder.js';

const fixture = (name: string): string => readFileSync(new URL(`./__fixtures__/${name}`, import.meta.url), 'utf8');
const tls = { key: fixture('loopback-key.pem'), cert: fixture('loopback-certificate.pem') };
type RecordedPod = { metadata: { name: string; namespace: string; uid: string }; status: object };
const recordedPods = (file: string): RecordedPod[] => (JSON.parse(fixture(file)) as { items: RecordedPod[] }).items;
const timings = { requestSpacingMs: 30, maximumBackOffMs: 60, answerTimeoutMs: 500 };

let opened: AsyncDisposable[];
let directory: string;
let server: FakeApiServer;
let kubelet: FakeKubelet;
let environment: Record<string, string>;

beforeEach(async () => {
  opened = [];
  directory = mkdtempSync(join(tmpdir(), 'crikit-account-'));
  writeFileSync(join(directory, 'token'), 'first\n');
  writeFileSync(join(directory, 'ca.crt'), tls.cert);
  server = await createFakeApiServer({ tls, tokens: ['first'] });
  kubelet = await createFakeKubelet();
  opened.push(server, kubelet);
  environment = {
    KUBERNETES_SERVICE_HOST: '127.0.0.1',
    KUBERNETES_SERVICE_PORT: String(server.port),
    NODE_NAME: 'lab-node',
  };
});

afterEach(async () => {
  for (const each of opened.reverse()) await each[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

function followDefault(options: DefaultPodsOptions = {}): PodSourceRecorder {
  const recorder = recordPodSource(
    defaultPods({
      serviceAccountDirectory: directory,
      timings,
      fallBackAfterMs: 10,
      kubelet: { url: kubelet.url, intervalMs: 20 },
      ...options,
    }),
    { environment },
  );
  opened.push(recorder);
  return recorder;
}

const lastState = (recorder: PodSourceRecorder): string => {
  const state = recorder.states.at(-1);
  return `${state?.backend} ${state?.state}`;
};

describe('in-cluster', () => {
  const follow = (options = {}): PodSourceRecorder => {
    const recorder = recordPodSource(inClusterPods({ serviceAccountDirectory: directory, timings, ...options }), {
      environment,
    });
    opened.push(recorder);
    return recorder;
  };

  test('the service account finds the way and is let in', async () => {
    for (const pod of recordedPods('api-pods.json')) server.put('pods', pod);
    const recorder = follow();
    await recorder.session.ready;
    expect(recorder.names).toEqual(['native-sidecar', 'noimage', 'static-web-lab-node', 'tz']);
    expect(recorder.pods.has('8c362802a7223416a53b38bd4752e278')).toBe(true);
  });

  test('a token that rotates is read anew, and a watch that stands is not touched', async () => {
    const recorder = follow();
    await recorder.until('the watch', () => server.watches === 1);
    server.setTokens(['second']);
    server.dropConnections();
    await recorder.until('stale', () => recorder.states.at(-1)?.error?.message.includes('401') === true);
    writeFileSync(join(directory, 'token'), 'second\n');
    await recorder.until('live', () => recorder.states.at(-1)?.state === 'live');
    expect(server.requests.at(-1)?.authorization).toBe('Bearer second');
    expect(recorder.updates).toHaveLength(1);
  });

  test('a server that the CA did not sign is told nothing', async () => {
    writeFileSync(join(directory, 'ca.crt'), '');
    const recorder = follow();
    await recorder.until('stale', () => recorder.states.at(-1)?.state === 'stale');
    expect(server.requests).toEqual([]);
  });

  test('the node can be told by the token alone', async () => {
    delete environment.NODE_NAME;
    const claims = Buffer.from(JSON.stringify({ 'kubernetes.io': { node: { name: 'lab-node' } } })).toString(
      'base64url',
    );
    writeFileSync(join(directory, 'token'), `head.${claims}.signature`);
    server.setTokens(undefined);
    const recorder = follow();
    await recorder.session.ready;
    expect(server.requests[0]?.query.get('fieldSelector')).toBe('spec.nodeName=lab-node');
  });

  test.each([
    ['without a node name', { NODE_NAME: '' }, 'fieldPath: spec.nodeName'],
    ['with a node name that is none', { NODE_NAME: 'a,status.phase=Running' }, 'fieldPath: spec.nodeName'],
    ['outside a cluster', { KUBERNETES_SERVICE_HOST: '' }, 'kubeconfigPods'],
  ])('%s the error says what to do', async (_, change, remedy) => {
    environment = { ...environment, ...change };
    await expect(follow().session.ready).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      retryable: false,
      message: expect.stringContaining(remedy),
    });
  });

  test('a token that is not mounted is named, and taken up when it comes', async () => {
    rmSync(join(directory, 'token'));
    const recorder = follow();
    await recorder.until('stale', () => recorder.states.at(-1)?.state === 'stale');
    expect(recorder.states.at(-1)?.error).toMatchObject({
      code: 'PERMISSION',
      message: expect.stringContaining('automountServiceAccountToken'),
    });
    writeFileSync(join(directory, 'token'), 'first');
    await recorder.session.ready;
  });
});

describe('by default', () => {
  test('outside a cluster pods are those that containers name', async () => {
    environment = {};
    const recorder = followDefault();
    await recorder.session.ready;
    expect(recorder.states).toMatchObject([{ state: 'live', backend: 'containers' }]);
    expect(recorder.updates).toEqual([]);
  });

  test('the kubelet serves while the API server is away, then the API server again; the same pods emit nothing', async () => {
    const pods = recordedPods('kubelet-pods.json');
    // What each of the two would say of the same pods.
    const mirror = recordedPods('api-pods.json').find(({ metadata }) => metadata.name === 'static-web-lab-node');
    for (const pod of pods) server.put('pods', pod.metadata.name === 'static-web-lab-node' && mirror ? mirror : pod);
    kubelet.setPods(pods);
    const recorder = followDefault();
    await recorder.until('the API server', () => lastState(recorder) === 'api-server live');
    expect(recorder.pods.size).toBe(4);
    expect(kubelet.requests).toEqual([]);

    await server.goAway();
    await recorder.until('the kubelet', () => lastState(recorder) === 'kubelet live');
    expect(recorder.states.at(-1)?.error).toMatchObject({ code: 'UNAVAILABLE' });
    await recorder.until('more looks', () => kubelet.requests.length >= 4);

    await server.comeBack();
    await recorder.until('the API server again', () => lastState(recorder) === 'api-server live');
    expect(recorder.updates).toHaveLength(1);
    const asked = kubelet.requests.length;
    server.put('pods', { ...pods[0], metadata: { name: 'new', namespace: 'lab' } } as RecordedPod);
    await recorder.until('a change', () => recorder.names.includes('new'));
    expect(kubelet.requests.length).toBeLessThanOrEqual(asked + 1);
  });

  test('what the kubelet alone saw is corrected when the API server is back', async () => {
    const [one, two] = recordedPods('kubelet-pods.json').slice(1, 3) as [RecordedPod, RecordedPod];
    server.put('pods', one);
    server.put('pods', two);
    kubelet.setPods([one]);
    const recorder = followDefault();
    await recorder.until('the API server', () => lastState(recorder) === 'api-server live');
    await server.goAway();
    await recorder.until('the removal', () => recorder.names.join() === one.metadata.name);
    await server.comeBack();
    await recorder.until('both', () => recorder.pods.size === 2 && lastState(recorder) === 'api-server live');
  });

  test('a start without API server is served by the kubelet', async () => {
    await server.goAway();
    kubelet.setPods(recordedPods('kubelet-pods.json'));
    const recorder = followDefault();
    await recorder.session.ready;
    expect(recorder.pods.size).toBe(4);
    await recorder.until('the kubelet', () => lastState(recorder) === 'kubelet live');
  });

  test('hints reach the kubelet while it serves', async () => {
    await server.goAway();
    const recorder = followDefault({ kubelet: { url: kubelet.url, intervalMs: 600_000, hintedIntervalMs: 5 } });
    await recorder.session.ready;
    kubelet.setPods(recordedPods('kubelet-pods.json'));
    recorder.session.hint?.();
    await recorder.until('the pods', () => recorder.pods.size === 4);
  });

  test('with neither, what is known stays and both are tried', async () => {
    for (const pod of recordedPods('api-pods.json')) server.put('pods', pod);
    const recorder = followDefault();
    await recorder.until('the API server', () => lastState(recorder) === 'api-server live');
    await kubelet.goAway();
    await server.goAway();
    await recorder.until('stale', () => lastState(recorder) === 'kubelet stale');
    expect(recorder.pods.size).toBe(4);
    await server.comeBack();
    await recorder.until('the API server again', () => lastState(recorder) === 'api-server live');
    expect(recorder.updates).toHaveLength(1);
  });

  test('without a node name the kubelet serves, and the error stays in sight', async () => {
    delete environment.NODE_NAME;
    kubelet.setPods(recordedPods('kubelet-pods.json'));
    const recorder = followDefault();
    await recorder.session.ready;
    await recorder.until('the kubelet', () => lastState(recorder) === 'kubelet live');
    expect(recorder.states.at(-1)?.error).toMatchObject({ code: 'UNSUPPORTED' });
    const alone = followDefault({ kubelet: false });
    await expect(alone.session.ready).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  test.each(['api-server', 'kubelet'])('when it is closed while the %s serves nothing is left', async (backend) => {
    if (backend === 'kubelet') await server.goAway();
    const recorder = followDefault();
    await recorder.until('live', () => lastState(recorder) === `${backend} live`);
    await recorder[Symbol.asyncDispose]();
    expect(recorder.timers).toBe(0);
    await recorder.until('no connection', () => server.connections + kubelet.connections === 0);
  });
});
