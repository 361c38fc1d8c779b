import { type DaemonInspect, type DaemonListItem, readInspect, readList } from '@crikit/dockerode-api';
import { describe, expect, test } from 'vitest';
import { readRecordedJson } from '../test/pouch-replay.js';
import { convertPouchDetail, convertPouchSummary } from './convert-pouch-container.js';

const daemon = { product: 'Pouch', engine: 'pouch:test' };
const reading = { trustLabels: false, allowArchive: false };
const inspect = (name: string): DaemonInspect => readInspect(readRecordedJson(name), daemon);
const detail = (name: string) => convertPouchDetail(inspect(name), reading);
const listed = (name: string): readonly DaemonListItem[] => readList(readRecordedJson(name), daemon);

describe('the list', () => {
  test('has a state for every container, though Pouch sends only a text', () => {
    const states = listed('list-all').map((item) => {
      const { name, status } = convertPouchSummary(item, reading);
      return [name, status];
    });
    expect(Object.fromEntries(states)).toEqual({
      rund1: 'running',
      run1: 'running',
      'k8s_app_mypod_myns_11111111-2222-3333-4444-555555555555_0': 'running',
      exit3: 'exited',
      stopme: 'exited',
      pauseme: 'paused',
      justcreated: 'created',
    });
  });

  test('tells the sandboxes of Pouch’s CRI from their containers', () => {
    const kinds = listed('cri-list-all').map((item) => {
      const { kubernetes } = convertPouchSummary(item, reading);
      return `${kubernetes?.kind} ${kubernetes?.podName} ${kubernetes?.containerName} ${kubernetes?.trust}`;
    });
    expect(kinds).toHaveLength(12);
    expect(kinds).toContain('sandbox podnet undefined engine');
    expect(kinds).toContain('container podnet app engine');
    expect(kinds.filter((kind) => kind.startsWith('sandbox'))).toHaveLength(6);
  });

  test('and the inspection agree on every pod', () => {
    const items = new Map(listed('cri-list-all').map((item) => [item.Id, convertPouchSummary(item, reading)]));
    for (const name of ['POD-podnet', 'app-podnet', 'POD-nodenet', 'app-nodenet', 'POD-rundp2', 'app-rundp2']) {
      const { reference, kubernetes } = detail(`cri-inspect-${name}`);
      expect(items.get(reference.id)?.kubernetes, name).toEqual(kubernetes);
    }
  });
});

describe('an inspection', () => {
  test.each([
    ['inspect-created', 'created', undefined],
    ['inspect-running', 'running', undefined],
    ['inspect-paused', 'paused', undefined],
    ['inspect-stopped', 'exited', 137],
    ['inspect-exited', 'exited', 3],
  ])('%s is %s', (name, status, exitCode) => {
    const found = detail(name);
    expect(found.status).toBe(status);
    expect(found.exitCode).toBe(exitCode);
    expect(found.pid === undefined).toBe(!['running', 'paused'].includes(status));
  });

  test('of a running container has what Pouch tells, with paths as the daemon sees them', () => {
    const { Id } = inspect('inspect-running');
    expect(detail('inspect-running')).toMatchObject({
      reference: { scope: '', id: Id },
      name: 'run1',
      image: 'docker.io/lab/busybox:1',
      env: { PATH: expect.any(String) },
      hostname: Id.slice(0, 12),
      runtime: 'runc',
      networkMode: 'bridge',
      logPath: `/var/lib/pouch/containers/${Id}/json.log`,
      mergedDir: `/var/lib/pouch/containerd/state/io.containerd.runtime.v1.linux/default/${Id}/rootfs`,
      startedAt: expect.stringMatching(/^2026-/),
      mounts: [],
    });
  });

  test.each(['inspect-created', 'inspect-stopped', 'inspect-exited'])('%s has no merged directory', (name) => {
    expect(detail(name)).not.toHaveProperty('mergedDir');
  });

  test('before the first start has no log and no start', () => {
    expect(detail('inspect-created')).not.toHaveProperty('logPath');
    expect(detail('inspect-created')).not.toHaveProperty('startedAt');
  });

  test('takes mounts without RW for read-only', () => {
    expect(detail('cri-inspect-app-podnet').mounts).toEqual([
      { source: '/srv/bindsrc', destination: '/ro', readWrite: false },
      { source: '/srv/bindsrc', destination: '/data', readWrite: true },
      { source: expect.stringContaining('/resolv.conf'), destination: '/etc/resolv.conf', readWrite: true },
    ]);
  });
});

describe('a pod of Pouch’s CRI', () => {
  const podUid = 'aaaaaaaa-bbbb-cccc-dddd-706f646e6574';
  const sandboxId = inspect('cri-inspect-POD-podnet').Id;

  test('has a sandbox without a container name, in a network of its own', () => {
    expect(detail('cri-inspect-POD-podnet')).toMatchObject({
      kubernetes: { kind: 'sandbox', podUid, namespace: 'default', podName: 'podnet', trust: 'engine' },
      networkMode: expect.stringMatching(/^netns:\/var\/run\/netns\/cni-/),
    });
    expect(detail('cri-inspect-POD-podnet').kubernetes).not.toHaveProperty('containerName');
  });

  test('has containers that name their sandbox', () => {
    expect(detail('cri-inspect-app-podnet')).toMatchObject({
      kubernetes: { kind: 'container', podUid, containerName: 'app', sandboxId, trust: 'engine' },
      networkMode: `container:${sandboxId}`,
      hostname: 'podnet',
      env: { TZ: 'Asia/Shanghai', A: 'b' },
    });
  });

  test('on the node’s network says so', () => {
    expect(detail('cri-inspect-POD-nodenet').networkMode).toBe('host');
    expect(detail('cri-inspect-app-nodenet').networkMode).toBe('host');
  });

  test('is believed its annotations before its labels', () => {
    const app = inspect('cri-inspect-app-podnet');
    const labels = {
      ...app.Config?.Labels,
      'io.kubernetes.sandbox.id': 'forged',
      'io.kubernetes.pouch.type': 'sandbox',
    };
    const forged = { ...app, Config: { ...app.Config, Labels: labels } };
    expect(convertPouchDetail(forged, reading).kubernetes).toMatchObject({
      kind: 'container',
      containerName: 'app',
      sandboxId,
    });
  });

  test('cannot be claimed by labels alone, unless they are trusted', () => {
    const item = listed('cri-list-all').find(({ Names }) => Names[0]?.startsWith('k8s_app_podnet')) as DaemonListItem;
    const stranger = { ...item, Names: ['stranger'] };
    expect(convertPouchSummary(stranger, reading).kubernetes).toBeUndefined();
    expect(convertPouchSummary(stranger, { ...reading, trustLabels: true }).kubernetes).toMatchObject({
      podName: 'podnet',
      trust: 'labels',
    });
  });
});

describe('the archive', () => {
  test('is withheld from every container, with the reason', () => {
    expect(detail('inspect-running').withheld.archive).toMatch(/allowArchive/);
  });

  test('is offered when it is allowed, but never under a runtime of virtual machines', () => {
    const allowed = (runtime: string) => {
      const found = inspect('inspect-rund');
      const changed = { ...found, HostConfig: { ...found.HostConfig, Runtime: runtime } };
      return convertPouchDetail(changed, { ...reading, allowArchive: true }).withheld.archive;
    };
    for (const runtime of ['rund', 'runv', 'kata', 'kata-runtime', 'io.containerd.kata.v2']) {
      expect(allowed(runtime), runtime).toMatch(/virtual machine/);
    }
    for (const runtime of ['runc', 'crun', 'runsc', 'my-runtime']) expect(allowed(runtime), runtime).toBeUndefined();
  });

  test('and the files of a virtual machine are not looked for on the node', () => {
    expect(detail('inspect-rund')).toMatchObject({ runtime: 'rund', status: 'running', pid: expect.any(Number) });
    expect(detail('inspect-rund')).not.toHaveProperty('mergedDir');
    expect(detail('cri-inspect-app-rundp2')).not.toHaveProperty('mergedDir');
  });
});
