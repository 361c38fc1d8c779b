import { expect, test } from 'vitest';
import { convertPodmanDetail, convertPodmanStatus, convertPodmanSummaries } from './convert-podman-container.js';
import { convertPodmanEvent } from './podman-events.js';

const id = '6c3216b412ec986a89bd720d577280f048b94197f2a11b7b97200717d15039f4';

// What Podman 4.3.1 answered, as far as anybody reads it.
const listed = {
  Id: id,
  Names: ['web'],
  Image: 'localhost/crikit-lab/users:1',
  Labels: null,
  State: 'running',
  Pid: 8271,
  StartedAt: 1795447960,
  ExitedAt: -62135596800,
};
const inspected = {
  Id: id,
  Name: 'web',
  ImageName: 'localhost/crikit-lab/users:1',
  OCIRuntime: '/usr/sbin/runc',
  State: {
    Status: 'running',
    Pid: 8271,
    ExitCode: 0,
    StartedAt: '2026-11-23T15:32:40.840973889Z',
    FinishedAt: '0001-01-01T00:00:00Z',
  },
  GraphDriver: { Name: 'overlay', Data: { MergedDir: '/storage/overlay/89b1/merged' } },
  Mounts: [
    { Type: 'bind', Source: '/data', Destination: '/in/data', RW: false },
    { Type: 'tmpfs', Source: 'tmpfs', Destination: '/tmp', RW: true },
  ],
  Config: { Hostname: '6c3216b412ec', Env: ['A=b=c', 'EMPTY='], Labels: null },
  HostConfig: {
    NetworkMode: 'none',
    PidMode: 'private',
    LogConfig: { Type: 'k8s-file', Path: '/storage/overlay-containers/ctr.log' },
  },
};

test('a container is the same in list and detail', () => {
  const [summary] = convertPodmanSummaries([listed], 'podman:/x');
  const detail = convertPodmanDetail(inspected, 'podman:/x');
  expect(detail).toMatchObject({ ...summary });
  expect(detail).toMatchObject({
    runtime: 'runc',
    env: { A: 'b=c', EMPTY: '' },
    pid: 8271,
    mergedDir: '/storage/overlay/89b1/merged',
    logPath: '/storage/overlay-containers/ctr.log',
    mounts: [{ source: '/data', destination: '/in/data', readWrite: false }],
  });
  expect(detail).not.toHaveProperty('exitCode');
});

test('the revision follows name, status and process', () => {
  const revisionOf = (item: object) => convertPodmanSummaries([{ ...listed, ...item }], 'podman:/x')[0]?.revision;
  const revisions = [{}, { Names: ['other'] }, { State: 'paused' }, { Pid: 9 }, { StartedAt: 1 }, { ExitedAt: 1 }];
  expect(new Set(revisions.map(revisionOf)).size).toBe(revisions.length);
});

test.each([
  ['configured', 'created'],
  ['initialized', 'created'],
  ['stopping', 'running'],
  ['stopped', 'exited'],
  ['removing', 'dead'],
  ['something new', 'unknown'],
])('status %s is %s', (state, status) => {
  expect(convertPodmanStatus(state)).toBe(status);
});

test.each([[undefined], [null], [{}], [{ Id: id }], ['text']])('a reply that is %j is a protocol error', (reply) => {
  expect(() => convertPodmanDetail(reply, 'podman:/x')).toThrow(expect.objectContaining({ code: 'PROTOCOL' }));
});

test('the end of a container carries its exit code', () => {
  const document = {
    Type: 'container',
    Action: 'died',
    Actor: { ID: id, Attributes: { containerExitCode: '137' } },
    timeNano: 1_795_448_236_872_450_000,
  };
  const event = { action: 'exited', reference: { scope: '', id }, timeMs: 1795448236872, exitCode: 137 };
  expect(convertPodmanEvent(document)).toEqual(event);
  expect(convertPodmanEvent({ ...document, Action: 'cleanup' })).toBeUndefined();
  expect(convertPodmanEvent({ ...document, Type: 'image' })).toBeUndefined();
});
