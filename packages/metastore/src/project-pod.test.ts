import { readFileSync } from 'node:fs';
import type { KubernetesPod } from '@crikit/core';
import { describe, expect, test } from 'vitest';
import { podIdentity } from './pod-identity.js';
import { projectPod } from './project-pod.js';

function recorded(file: string, name: string): KubernetesPod {
  const url = new URL(`./__fixtures__/${file}.json`, import.meta.url);
  const { items } = JSON.parse(readFileSync(url, 'utf8')) as { items: readonly KubernetesPod[] };
  const found = items.find(({ metadata }) => metadata?.name === name);
  if (found === undefined) throw new Error(`no ${name} in ${file}`);
  return found;
}

describe('a static pod', () => {
  const hash = '8c362802a7223416a53b38bd4752e278';
  const mirror = recorded('api-pods', 'static-web-lab-node');
  const own = recorded('kubelet-pods', 'static-web-lab-node');

  test('has its config hash as identity, from the API server as from the kubelet', () => {
    expect(mirror.metadata?.uid).not.toBe(hash);
    expect(podIdentity(mirror)).toBe(hash);
    expect(podIdentity(own)).toBe(hash);
    expect(projectPod(mirror)?.metadata?.uid).toBe(hash);
  });

  test('is the same from both', () => {
    expect(projectPod(mirror)).toEqual(projectPod(own));
    expect(projectPod(mirror)?.metadata?.annotations).toEqual({
      'kubernetes.io/config.hash': hash,
      'kubernetes.io/config.source': 'file',
    });
  });
});

test('a pod cannot pose as one that the API server named by an annotation', () => {
  const victim = '6bec326b-6f9b-4a40-a0ff-c5622edc6772';
  const forged = { metadata: { uid: 'own', annotations: { 'kubernetes.io/config.mirror': victim } } };
  expect(podIdentity(forged)).toBe('own');
});

test('an object without uid is none', () => {
  expect(podIdentity({})).toBeUndefined();
  expect(projectPod({ metadata: { name: 'nameless' } })).toBeUndefined();
});

test('what roles and metadata need is kept, and nothing else', () => {
  expect(projectPod(recorded('api-pods', 'native-sidecar'))).toEqual({
    metadata: {
      uid: '6bec326b-6f9b-4a40-a0ff-c5622edc6772',
      name: 'native-sidecar',
      namespace: 'lab',
      labels: { app: 'native-sidecar' },
      generation: 1,
      creationTimestamp: '2026-11-23T13:03:58Z',
    },
    spec: {
      nodeName: 'lab-node',
      containers: [{ name: 'app', image: 'docker.io/lab/busybox:1' }],
      initContainers: [
        { name: 'setup', image: 'docker.io/lab/busybox:1' },
        { name: 'mesh', image: 'docker.io/lab/busybox:1', restartPolicy: 'Always' },
      ],
    },
    status: {
      phase: 'Running',
      podIP: '10.99.0.5',
      podIPs: [{ ip: '10.99.0.5' }],
      hostIP: '10.99.0.1',
      containerStatuses: [
        {
          name: 'app',
          containerID: 'containerd://b0cc465ea238179b632e9f83aa09a67963d6820b88aff500aa2b9444b101ec39',
          ready: true,
          restartCount: 0,
        },
      ],
      initContainerStatuses: [
        {
          name: 'setup',
          containerID: 'containerd://5ab5d1e5df24fd02015dd68c9516e35960d0301db3045f0531dd14e8d0f53d3c',
          ready: true,
          restartCount: 0,
        },
        {
          name: 'mesh',
          containerID: 'containerd://e021c7f4f6be611fec60532bf7fe9efaa4a7fff14be1a39b8a1af2a0ebbc1089',
          ready: true,
          restartCount: 0,
        },
      ],
    },
  });
});

test('the environment keeps constants, and names those that come from elsewhere', () => {
  expect(projectPod(recorded('api-pods', 'tz'))?.spec?.containers?.[0]?.env).toEqual([
    { name: 'TZ', value: 'Asia/Shanghai' },
    { name: 'POD_IP' },
    { name: 'NODE_NAME' },
  ]);
});

test('the kubelet and the API server tell of an API pod in the same members', () => {
  const shape = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(shape);
    if (typeof value !== 'object' || value === null) return typeof value;
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, shape(member)]));
  };
  for (const name of ['native-sidecar', 'tz', 'noimage']) {
    expect(shape(projectPod(recorded('kubelet-pods', name)))).toEqual(shape(projectPod(recorded('api-pods', name))));
  }
});

test('numbers that no number of JavaScript holds do no harm', () => {
  const text = `{"metadata":{"uid":"u","generation":9007199254740993},"status":{"phase":"Running",
    "resources":{"limits":{"memory":9007199254740988000000,"other":"9007199254740988Ki"}}}}`;
  expect(projectPod(JSON.parse(text) as KubernetesPod)).toMatchObject({
    metadata: { uid: 'u' },
    status: { phase: 'Running' },
  });
});

test('null and empty lists are absence', () => {
  const told = {
    metadata: { uid: 'u', labels: null, annotations: null, ownerReferences: null },
    spec: { containers: [], initContainers: null },
    status: null,
  } as unknown as KubernetesPod;
  expect(projectPod(told)).toEqual({ metadata: { uid: 'u' }, spec: {} });
});
