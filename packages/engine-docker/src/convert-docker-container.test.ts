import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DaemonInspect, readInspect, readList } from '@crikit/dockerode-api';
import { describe, expect, test } from 'vitest';
import { convertDockerDetail, convertDockerStatus, convertDockerSummary } from './convert-docker-container.js';

const inspected = JSON.parse(
  readFileSync(join(import.meta.dirname, '__fixtures__', 'kubelet-pod-inspect.json'), 'utf8'),
) as unknown[];
const [sandbox, main] = inspected.map((reply) => readInspect(reply, { product: 'Docker', engine: 'docker:test' })) as [
  DaemonInspect,
  DaemonInspect,
];
const podUid = '7ce28a7d-a3a7-4a71-bb5f-696520840e62';

describe('a container that cri-dockerd made', () => {
  const detail = convertDockerDetail(main, false, 'r');

  test('has the marks of its pod from its name', () => {
    expect(detail.kubernetes).toEqual({
      kind: 'container',
      podUid,
      namespace: 'labd',
      podName: 'single',
      containerName: 'main',
      sandboxId: sandbox.Id,
      trust: 'engine',
    });
  });

  test('has what the inspection tells, with paths as the daemon sees them', () => {
    expect(detail).toMatchObject({
      reference: { scope: '', id: main.Id },
      name: `k8s_main_single_labd_${podUid}_0`,
      status: 'running',
      hostname: 'single',
      runtime: 'runc',
      networkMode: `container:${sandbox.Id}`,
      pid: 21623,
      startedAt: '2026-11-23T13:26:01.01815657Z',
      logPath: `/var/lib/docker/containers/${main.Id}/${main.Id}-json.log`,
      withheld: {},
    });
    expect(detail.env.KUBERNETES_SERVICE_HOST).toBe('10.96.0.1');
    expect(detail.mergedDir).toMatch(/^\/var\/lib\/docker\/overlay2\/[0-9a-f]+\/merged$/);
    expect(detail.mounts).toContainEqual({
      source: `/var/lib/kubelet/pods/${podUid}/etc-hosts`,
      destination: '/etc/hosts',
      readWrite: true,
    });
    expect(detail.mounts.find(({ destination }) => destination.endsWith('serviceaccount'))?.readWrite).toBe(false);
  });

  test('leaves out what is empty or not so', () => {
    expect(detail).not.toHaveProperty('pidMode');
    expect(detail).not.toHaveProperty('exitCode');
  });

  test('has a sandbox without container name and sandbox id', () => {
    expect(convertDockerDetail(sandbox, false, 'r').kubernetes).toEqual({
      kind: 'sandbox',
      podUid,
      namespace: 'labd',
      podName: 'single',
      trust: 'engine',
    });
  });
});

describe('a detail', () => {
  const withParts = (parts: Partial<DaemonInspect>) => convertDockerDetail({ ...main, ...parts }, false, 'r');

  test('of an ended container has an exit code, and neither pid nor merged directory', () => {
    const detail = withParts({ State: { ...main.State, Status: 'exited', Pid: 0, ExitCode: 137 } });
    expect(detail).toMatchObject({ status: 'exited', exitCode: 137, startedAt: main.State.StartedAt });
    expect(detail).not.toHaveProperty('pid');
    expect(detail).not.toHaveProperty('mergedDir');
  });

  test('of a container that never ran has no start', () => {
    const detail = withParts({ State: { Status: 'created', Pid: 0, ExitCode: 0, StartedAt: '0001-01-01T00:00:00Z' } });
    expect(detail.status).toBe('created');
    expect(detail).not.toHaveProperty('startedAt');
    expect(detail).not.toHaveProperty('exitCode');
  });

  test.each([
    ['runc', 'runc', true],
    ['io.containerd.runc.v2', 'runc', true],
    ['crun', 'crun', true],
    ['io.containerd.kata.v2', 'kata', false],
    ['my-runtime', 'my-runtime', false],
  ])('names the runtime %s as %s and gives a merged directory: %s', (runtime, name, merged) => {
    const detail = withParts({ HostConfig: { Runtime: runtime } });
    expect(detail.runtime).toBe(name);
    expect(detail.mergedDir !== undefined).toBe(merged);
  });

  test('copes with a graph driver that has no merged directory, and with null for lists', () => {
    const detail = withParts({
      GraphDriver: { Name: 'btrfs', Data: null },
      Mounts: null,
      Config: { Env: null, Labels: null },
    });
    expect(detail).not.toHaveProperty('mergedDir');
    expect(detail).toMatchObject({ mounts: [], env: {}, labels: {} });
    expect(detail).not.toHaveProperty('hostname');
  });

  test('has no mount for a tmpfs, which is nowhere on the host', () => {
    expect(withParts({ Mounts: [{ Type: 'tmpfs', Source: '', Destination: '/tmp', RW: true }] }).mounts).toEqual([]);
  });

  test('takes the last of equal variables, and one without a value as empty', () => {
    expect(withParts({ Config: { Env: ['A=1', 'A=2=3', 'B=', 'C'] } }).env).toEqual({ A: '2=3', B: '', C: '' });
  });
});

describe('a summary', () => {
  const list = readList(
    [
      {
        Id: 'aa',
        Names: ['/other/alias', '/web'],
        Image: 'web:1',
        Labels: null,
        State: 'exited',
        Status: 'Exited (0) 3 hours ago',
      },
    ],
    { product: 'Docker', engine: 'docker:test' },
  );

  test('has the container’s own name, not one that another container links to it by', () => {
    expect(convertDockerSummary(list[0] as (typeof list)[0], false)).toEqual({
      reference: { scope: '', id: 'aa' },
      name: 'web',
      labels: {},
      status: 'exited',
      image: 'web:1',
    });
  });
});

test('states become the words that all engines share', () => {
  const words = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead', 'frozen'];
  expect(words.map(convertDockerStatus)).toEqual([
    'created',
    'running',
    'paused',
    'restarting',
    'dead',
    'exited',
    'dead',
    'unknown',
  ]);
});
