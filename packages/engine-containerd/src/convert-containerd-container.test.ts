import { create, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { createContainerRecord, createContainerRecords } from './container-records.js';
import {
  convertContainerdDetail,
  convertContainerdStatus,
  convertContainerdSummary,
  findStateDirectory,
  shortRuntimeName,
} from './convert-containerd-container.js';
import type { Container } from './generated/containers_pb.js';
import { OptionsSchema } from './generated/runc-options_pb.js';
import { type Process, ProcessSchema } from './generated/tasks_pb.js';
import { type TaskLook, taskStatus } from './list-tasks.js';
import { plainContainer, recordedContainer } from './test-container.js';

const running = (pid = 4242): Process => create(ProcessSchema, { status: taskStatus.running, pid });
const recordOf = (container: Container, namespace = 'k8s.io') => createContainerRecord(namespace, container);
const knownOf = (container: Container, task: TaskLook = running(), namespace = 'k8s.io') => ({
  record: recordOf(container, namespace),
  task,
  memory: {},
});

const pod = { podUid: 'af12259d-bf6d-4187-a8c2-836c56919c07', namespace: 'lab', podName: 'two' };
const sandboxId = '91addac4f2c7d27d0c2423cd34e80a424868cf29ba8ce2342850745a0278b199';

describe('a container of a kubelet', () => {
  test('has its pod, its name there and its sandbox from the CRI’s own record', () => {
    expect(convertContainerdSummary(knownOf(recordedContainer('two-app')))).toMatchObject({
      name: `app_two_lab_${pod.podUid}_0`,
      status: 'running',
      kubernetes: { kind: 'container', ...pod, containerName: 'app', sandboxId, trust: 'engine' },
    });
    expect(convertContainerdSummary(knownOf(recordedContainer('two-sandbox'))).kubernetes).toEqual({
      kind: 'sandbox',
      ...pod,
      trust: 'engine',
    });
  });

  test('keeps its pod where only the spec tells of it', () => {
    const container = recordedContainer('two-app');
    container.extensions = {};
    container.labels = { 'io.cri-containerd.kind': 'container' };
    expect(convertContainerdSummary(knownOf(container)).kubernetes).toEqual({
      kind: 'container',
      ...pod,
      containerName: 'app',
      sandboxId,
      trust: 'engine',
    });
  });

  test('takes hostname and network from its sandbox, the rest from its spec', () => {
    const sandbox = recordOf(recordedContainer('two-sandbox'));
    const detail = convertContainerdDetail(knownOf(recordedContainer('two-app')), sandbox, '/run/containerd');
    expect(detail).toMatchObject({
      env: { WHO: 'app', HOSTNAME: 'two' },
      hostname: 'two',
      networkMode: '/var/run/netns/cni-f16e79c7-a153-c7fa-84aa-439748dc251a',
      runtime: 'runc',
      logPath: `/var/log/pods/lab_two_${pod.podUid}/app/0.log`,
      mergedDir: `/run/containerd/io.containerd.runtime.v2.task/k8s.io/${detail.reference.id}/rootfs`,
      pid: 4242,
    });
    expect(detail).not.toHaveProperty('pidMode');
  });

  test('has the mounts that are on the host, and says which are read-only', () => {
    const { mounts } = convertContainerdDetail(knownOf(recordedContainer('volumes-app')), undefined, undefined);
    const of = (destination: string) => mounts.find((mount) => mount.destination === destination);
    expect(of('/host/logs')).toEqual({ source: '/srv/data/hostlogs', destination: '/host/logs', readWrite: false });
    expect(of('/home/admin/logs')?.readWrite).toBe(true);
    expect(of('/proc')).toBeUndefined();
  });

  test('of a static pod carries the hash that the kubelet calls its uid', () => {
    expect(convertContainerdSummary(knownOf(recordedContainer('static-web-web'))).kubernetes).toMatchObject({
      podUid: '8c362802a7223416a53b38bd4752e278',
      podName: 'static-web-lab-node',
    });
  });

  test('shows the daemon’s state directory', () => {
    expect(findStateDirectory(recordOf(recordedContainer('two-app')))).toBe('/run/containerd');
    expect(findStateDirectory(recordOf(plainContainer('a')))).toBeUndefined();
  });
});

describe('a container that no kubelet made', () => {
  test('is not taken for a pod’s because of labels of its image', () => {
    const labels = {
      'io.kubernetes.pod.uid': 'u',
      'io.kubernetes.pod.name': 'n',
      'io.kubernetes.pod.namespace': 's',
      'io.kubernetes.container.name': 'c',
    };
    expect(convertContainerdSummary(knownOf(plainContainer('a', {}, { labels }))).kubernetes).toBeUndefined();
    const forged = { ...labels, 'io.cri-containerd.kind': 'container' };
    expect(convertContainerdSummary(knownOf(plainContainer('a', {}, { labels: forged }))).kubernetes).toMatchObject({
      trust: 'labels',
    });
  });

  test('of dockerd has the merged directory that its spec names', () => {
    const container = plainContainer('d', {
      hostname: 'whale',
      root: { path: '/var/lib/docker/overlay2/x/merged' },
      process: { env: ['A=b=c', 'EMPTY='] },
      linux: { namespaces: [{ type: 'pid' }, { type: 'network', path: '/var/run/docker/netns/x' }] },
    });
    expect(convertContainerdDetail(knownOf(container, running(), 'moby'), undefined, undefined)).toMatchObject({
      reference: { scope: 'moby', id: 'd' },
      name: 'd',
      hostname: 'whale',
      mergedDir: '/var/lib/docker/overlay2/x/merged',
      networkMode: '/var/run/docker/netns/x',
      env: { A: 'b=c', EMPTY: '' },
    });
  });

  test('without namespaces of its own shares those of the node', () => {
    const container = plainContainer('h', { linux: { namespaces: [{ type: 'mount' }] } });
    expect(convertContainerdDetail(knownOf(container), undefined, undefined)).toMatchObject({
      networkMode: 'host',
      pidMode: 'host',
    });
  });

  test.each([['not json'], ['[]'], ['{"process":7,"mounts":{},"linux":[],"annotations":{"a":1}}']])(
    'is listed even when its spec is %s',
    (text) => {
      const container = plainContainer('s', {}, { spec: { value: Buffer.from(text) } });
      expect(convertContainerdDetail(knownOf(container), undefined, undefined)).toMatchObject({
        status: 'running',
        env: {},
        mounts: [],
      });
    },
  );
});

describe('the status', () => {
  test.each([
    [taskStatus.created, 'created'],
    [taskStatus.running, 'running'],
    [taskStatus.paused, 'paused'],
    [taskStatus.pausing, 'paused'],
    [taskStatus.stopped, 'exited'],
    [taskStatus.unknown, 'unknown'],
    [99, 'unknown'],
  ])('of a task in state %d is %s', (status, expected) => {
    expect(convertContainerdStatus(create(ProcessSchema, { status }), {})).toBe(expected);
  });

  test.each([
    [{ exited: { exitCode: 7 } }, 'exited'],
    [{ created: true }, 'created'],
    [{}, 'unknown'],
  ] as const)('without a task, remembering %j, is %s', (memory, expected) => {
    expect(convertContainerdStatus('none', memory)).toBe(expected);
  });

  test('of a task whose shim is silent is unknown, and no process is claimed', () => {
    expect(convertContainerdStatus('silent', { exited: {} })).toBe('unknown');
    expect(convertContainerdDetail(knownOf(plainContainer('a'), 'silent'), undefined, '/s')).not.toHaveProperty('pid');
  });

  test('of a stopped task has its exit code, and no root directory', () => {
    const task = create(ProcessSchema, { status: taskStatus.stopped, pid: 7, exitStatus: 3 });
    const detail = convertContainerdDetail(knownOf(recordedContainer('two-app'), task), undefined, '/s');
    expect(detail).toMatchObject({ status: 'exited', exitCode: 3 });
    expect(detail).not.toHaveProperty('mergedDir');
    expect(detail).not.toHaveProperty('pid');
  });
});

describe('the runtime', () => {
  test.each([
    ['io.containerd.runc.v2', undefined, 'runc'],
    ['io.containerd.runtime.v1.linux', undefined, 'runc'],
    ['io.containerd.runc.v2', '/usr/bin/crun', 'crun'],
    ['io.containerd.runc.v2', '/usr/bin/nvidia-container-runtime', 'runc'],
    ['io.containerd.kata.v2', undefined, 'kata'],
    ['io.containerd.kata-qemu.v2', undefined, 'kata-qemu'],
    ['io.containerd.runsc.v1', undefined, 'runsc'],
    ['io.containerd.rund.v2', undefined, 'rund'],
    ['/usr/local/bin/containerd-shim-rund-v2', undefined, 'rund'],
    ['something-else', undefined, 'something-else'],
  ])('%s with %s is %s', (name, binaryName, expected) => {
    const value = toBinary(OptionsSchema, create(OptionsSchema, { binaryName: binaryName ?? '' }));
    const options = { typeUrl: 'containerd.runc.v1.Options', value };
    expect(shortRuntimeName(recordOf(plainContainer('a', {}, { runtime: { name, options } })))).toBe(expected);
  });
});

describe('records', () => {
  test('are the same while the container is, to the nanosecond', () => {
    const records = createContainerRecords();
    const first = records.remember('ns', plainContainer('a', { hostname: 'one' }));
    expect(records.remember('ns', plainContainer('a', { hostname: 'one' }))).toBe(first);
    const updatedAt = { seconds: 1_795_000_000n, nanos: 1 };
    const second = records.remember('ns', plainContainer('a', { hostname: 'two' }, { updatedAt }));
    expect(second.spec.hostname).toBe('two');
    expect(records.find('other', 'a')).toBeUndefined();
    records.keepOnly('ns', new Set(['b']));
    expect(records.find('ns', 'a')).toBeUndefined();
  });
});
