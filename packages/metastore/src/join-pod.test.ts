import {
  type Container,
  type ContainerStatus,
  type KubernetesPod,
  type Pod,
  parseMetadataRules,
  parseSidecarRules,
} from '@crikit/core';
import { describe, expect, test } from 'vitest';
import type { ContainerFacts } from './container-facts.js';
import { type JoinInput, type JoinRules, joinPod } from './join-pod.js';

const rules: JoinRules = {
  sidecars: parseSidecarRules('name:sidecar'),
  app: [],
  hostname: parseMetadataRules('label:HOSTNAME'),
};

interface Given {
  id: string;
  /** Absent for a sandbox. */
  k8sName?: string;
  sandboxId?: string;
  status?: ContainerStatus;
  startedAt?: string;
  exitCode?: number;
  labels?: Record<string, string>;
  env?: Record<string, string>;
  networkMode?: string;
}

function makeFacts({
  id,
  k8sName,
  sandboxId,
  status = 'running',
  startedAt,
  exitCode,
  ...more
}: Given): ContainerFacts {
  const container: Container = {
    engineId: 'memory:1',
    engineType: 'memory',
    scope: '',
    id,
    shortId: id.slice(0, 12),
    name: id,
    state: {
      status,
      pid: status === 'running' ? 1 : 0,
      ...(startedAt === undefined ? {} : { startedAt }),
      ...(exitCode === undefined ? {} : { exitCode }),
    },
    labels: more.labels ?? {},
    env: more.env ?? {},
    mounts: [],
    withheld: {},
    ...(more.networkMode === undefined ? {} : { networkMode: more.networkMode }),
  };
  return {
    key: id,
    container,
    idSchemes: ['memory'],
    marks: {
      kind: k8sName === undefined ? 'sandbox' : 'container',
      podUid: 'uid',
      namespace: 'shop',
      podName: 'web-0',
      trust: 'engine',
      ...(k8sName === undefined ? {} : { containerName: k8sName }),
      ...(sandboxId === undefined ? {} : { sandboxId }),
    },
  };
}

function join(members: readonly Given[], more: Partial<JoinInput> = {}): Pod {
  return joinPod(
    {
      uid: 'uid',
      namespace: 'shop',
      name: 'web-0',
      sandboxed: true,
      knownContainerNames: members.flatMap(({ k8sName }) => k8sName ?? []),
      ...more,
      members: members.map(makeFacts),
    },
    rules,
  ).pod;
}

const ids = (containers: readonly Container[]): string[] => containers.map(({ id }) => id);
const codes = (pod: Pod): string[] => pod.diagnostics.map(({ code }) => code);

interface Case {
  name: string;
  members: Given[];
  object?: KubernetesPod;
  expected: Partial<
    Record<'all' | 'biz' | 'sidecar' | 'exited' | 'initContainers' | 'ephemeralContainers', string[]>
  > & {
    sandbox?: string;
    phase?: string;
    codes?: string[];
  };
}

const cases: Case[] = [
  {
    name: 'a running pod: sandbox, biz and sidecar are all there is',
    members: [
      { id: 's' },
      { id: 'a', k8sName: 'app', sandboxId: 's' },
      { id: 'l', k8sName: 'sidecar', sandboxId: 's' },
    ],
    expected: {
      all: ['s', 'a', 'l'],
      biz: ['a'],
      sidecar: ['l'],
      exited: [],
      sandbox: 's',
      phase: 'Running',
      codes: [],
    },
  },
  {
    name: 'a restarted container: the old one is among the exited, newest first',
    members: [
      { id: 's' },
      { id: 'a1', k8sName: 'app', sandboxId: 's', status: 'exited', startedAt: '2026-01-01T00:00:01Z' },
      { id: 'a2', k8sName: 'app', sandboxId: 's', status: 'exited', startedAt: '2026-01-01T00:00:02Z' },
      { id: 'a3', k8sName: 'app', sandboxId: 's', startedAt: '2026-01-01T00:00:03Z' },
    ],
    expected: { all: ['s', 'a3'], biz: ['a3'], exited: ['a2', 'a1'], phase: 'Running' },
  },
  {
    name: 'a container that was never started does not count as the business',
    members: [
      { id: 's' },
      { id: 'a1', k8sName: 'app', sandboxId: 's', status: 'created' },
      { id: 'a2', k8sName: 'app', sandboxId: 's' },
    ],
    expected: { all: ['s', 'a2'], biz: ['a2'], exited: ['a1'] },
  },
  {
    name: 'a paused container is still one of the pod',
    members: [{ id: 's' }, { id: 'a', k8sName: 'app', sandboxId: 's', status: 'paused' }],
    expected: { all: ['s', 'a'], biz: ['a'], phase: 'Running' },
  },
  {
    name: 'containers of an older sandbox are among the exited, even when they run',
    members: [
      { id: 's1', status: 'exited' },
      { id: 's2' },
      { id: 'a1', k8sName: 'app', sandboxId: 's1' },
      { id: 'a2', k8sName: 'app', sandboxId: 's2' },
    ],
    expected: { all: ['s2', 'a2'], biz: ['a2'], exited: ['s1', 'a1'], sandbox: 's2', codes: [] },
  },
  {
    name: 'no running sandbox: nothing is dropped or guessed',
    members: [
      { id: 's', status: 'exited' },
      { id: 'a', k8sName: 'app', sandboxId: 's' },
    ],
    expected: { all: ['a'], biz: ['a'], exited: ['s'], phase: 'Running', codes: ['no-running-sandbox'] },
  },
  {
    name: 'several running sandboxes: none is taken for the live one',
    members: [
      { id: 's1' },
      { id: 's2' },
      { id: 'a1', k8sName: 'app', sandboxId: 's1' },
      { id: 'a2', k8sName: 'app', sandboxId: 's2' },
    ],
    expected: { all: ['s1', 's2', 'a1', 'a2'], biz: ['a1', 'a2'], codes: ['several-running-sandboxes'] },
  },
  {
    name: 'a sandbox alone is pending',
    members: [{ id: 's' }],
    expected: { all: ['s'], phase: 'Pending', codes: [] },
  },
  {
    name: 'with a spec, init, native sidecar and debug containers get their own places',
    members: [
      { id: 's' },
      { id: 'i', k8sName: 'prepare', sandboxId: 's', status: 'exited', exitCode: 0 },
      { id: 'n', k8sName: 'proxy', sandboxId: 's' },
      { id: 'a', k8sName: 'app', sandboxId: 's' },
      { id: 'd', k8sName: 'debugger', sandboxId: 's' },
    ],
    object: {
      metadata: { labels: { app: 'web' } },
      spec: {
        containers: [{ name: 'app' }],
        initContainers: [{ name: 'prepare' }, { name: 'proxy', restartPolicy: 'Always' }],
        ephemeralContainers: [{ name: 'debugger' }],
      },
      status: { phase: 'Running', podIP: '10.0.0.7', hostIP: '192.168.0.1' },
    },
    expected: {
      biz: ['a'],
      sidecar: ['n'],
      initContainers: ['i'],
      ephemeralContainers: ['d'],
      exited: ['i'],
      phase: 'Running',
    },
  },
  {
    name: 'the phase of the object wins over the containers',
    members: [{ id: 's' }, { id: 'a', k8sName: 'app', sandboxId: 's' }],
    object: { spec: { containers: [{ name: 'app' }] }, status: { phase: 'Pending' } },
    expected: { phase: 'Pending' },
  },
];

test.each(cases)('$name', ({ members, object, expected }) => {
  const pod = join(members, object === undefined ? {} : { object });
  const found = {
    all: ids(pod.all),
    biz: ids(pod.biz),
    sidecar: ids(pod.sidecar),
    exited: ids(pod.exited),
    initContainers: ids(pod.initContainers),
    ephemeralContainers: ids(pod.ephemeralContainers),
    sandbox: pod.sandbox?.id,
    phase: pod.phase,
    codes: codes(pod),
  };
  expect(found).toMatchObject(expected);
});

describe('the phase of a pod without an object', () => {
  test.each<[string, Given[], string]>([
    [
      'all ended well',
      [
        { id: 's', status: 'exited' },
        { id: 'a', k8sName: 'app', status: 'exited', exitCode: 0 },
      ],
      'Succeeded',
    ],
    [
      'one ended badly',
      [
        { id: 's', status: 'exited' },
        { id: 'a', k8sName: 'app', status: 'exited', exitCode: 1 },
      ],
      'Failed',
    ],
    ['the exit code is not known', [{ id: 'a', k8sName: 'app', status: 'exited' }], 'Failed'],
    [
      'a failed attempt before a good one',
      [
        { id: 'a1', k8sName: 'app', status: 'exited', exitCode: 1, startedAt: '2026-01-01T00:00:01Z' },
        { id: 'a2', k8sName: 'app', status: 'exited', exitCode: 0, startedAt: '2026-01-01T00:00:02Z' },
      ],
      'Succeeded',
    ],
    [
      'ended, while the sandbox waits for its restart',
      [{ id: 's' }, { id: 'a', k8sName: 'app', status: 'exited', exitCode: 1 }],
      'Running',
    ],
    [
      'created only',
      [
        { id: 's', status: 'created' },
        { id: 'a', k8sName: 'app', status: 'created' },
      ],
      'Pending',
    ],
    ['a status that the engine does not know', [{ id: 'a', k8sName: 'app', status: 'unknown' }], 'Unknown'],
    ['nothing but the sandbox of a pod that is gone', [{ id: 's', status: 'exited', exitCode: 0 }], 'Succeeded'],
  ])('%s', (_, members, phase) => {
    expect(join(members).phase).toBe(phase);
  });
});

test("labels and annotations come from the sandbox, without the kubelet's own", () => {
  const pod = join([
    {
      id: 's',
      labels: {
        app: 'web',
        HOSTNAME: 'host-a',
        'io.kubernetes.pod.name': 'web-0',
        'annotation.kubectl.kubernetes.io/default-container': 'second',
      },
    },
    { id: 'a', k8sName: 'first', sandboxId: 's', labels: { app: 'forged' } },
    { id: 'b', k8sName: 'second', sandboxId: 's' },
  ]);
  expect(pod.labels).toEqual({ app: 'web', HOSTNAME: 'host-a' });
  expect(pod.annotations).toEqual({ 'kubectl.kubernetes.io/default-container': 'second' });
  expect(pod).toMatchObject({ app: 'web', hostname: 'host-a' });
  expect(ids(pod.biz)).toEqual(['b']);
  expect(pod.biz[0]?.roleReason).toContain('default-container');
});

test('the object gives labels, annotations, hostname and addresses', () => {
  const object: KubernetesPod = {
    metadata: { labels: { app: 'web' }, annotations: { a: 'b' } },
    spec: { hostname: 'given', containers: [{ name: 'app', env: [{ name: 'APP_NAME', value: 'by-env' }] }] },
    status: { phase: 'Running', podIP: '10.0.0.7', hostIP: '192.168.0.1' },
  };
  const pod = joinPod(
    {
      uid: 'uid',
      namespace: 'shop',
      name: 'web-0',
      sandboxed: true,
      object,
      members: [makeFacts({ id: 's', labels: { app: 'other' } })],
      knownContainerNames: [],
    },
    { ...rules, app: parseMetadataRules('env:APP_NAME') },
  ).pod;
  expect(pod).toMatchObject({
    object,
    labels: { app: 'web' },
    annotations: { a: 'b' },
    hostname: 'given',
    app: 'by-env',
    ip: '10.0.0.7',
    hostIP: '192.168.0.1',
  });
});

test("containers take their sandbox's network mode and keep their own when it is not known", () => {
  const { containers } = joinPod(
    {
      uid: 'uid',
      namespace: 'shop',
      name: 'web-0',
      sandboxed: true,
      knownContainerNames: [],
      members: [
        makeFacts({ id: 's', networkMode: 'none' }),
        makeFacts({ id: 'a', k8sName: 'app', sandboxId: 's', networkMode: 'container:s' }),
        makeFacts({ id: 'b', k8sName: 'other', sandboxId: 'gone', networkMode: 'container:gone' }),
      ],
    },
    rules,
  );
  expect(containers.get('a')?.networkMode).toBe('none');
  expect(containers.get('b')?.networkMode).toBe('container:gone');
});

test('names that are remembered count, so that a lonely survivor keeps its role', () => {
  const pod = join([{ id: 's' }, { id: 'l', k8sName: 'log-sidecar', sandboxId: 's' }], {
    knownContainerNames: ['app', 'log-sidecar'],
  });
  expect(ids(pod.sidecar)).toEqual(['l']);
});
