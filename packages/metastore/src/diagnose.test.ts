import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInMemoryEngine, waitUntil } from '@crikit/engine-conformance';
import { afterEach, describe, expect, test } from 'vitest';
import { createMetaStore } from './create-meta-store.js';
import { diagnose } from './diagnose.js';
import { findSocketMount } from './diagnose-socket-mount.js';
import { diagnosisFindingIds } from './diagnosis.js';
import { formatDuration } from './format-duration.js';
import type { MetaStore } from './meta-store.js';
import type { EngineStatus, MetaStoreStatus, PodSourceStatus } from './meta-store-status.js';

const stores: MetaStore[] = [];
afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.close()));
});

const nowMs = 1_700_000_000_000;
const minuteMs = 60_000;
const mountinfo = [
  '22 28 0:21 / / rw,relatime shared:1 - overlay overlay rw',
  '23 22 0:22 / /proc rw - proc proc rw',
  '40 22 0:30 / /run rw,nosuid - tmpfs tmpfs rw',
].join('\n');
const ofSocket = (root: string): string => `${mountinfo}\n41 40 0:30 ${root} /run/docker.sock rw - tmpfs tmpfs rw\n`;

const liveEngine: EngineStatus = {
  id: 'docker:/var/run/docker.sock',
  type: 'docker',
  version: '20.10.24',
  state: 'live',
  ageMs: 0,
  connections: 1,
  containers: 3,
  failingContainers: 0,
};
const staleEngine: EngineStatus = {
  ...liveEngine,
  state: 'stale',
  staleSinceMs: nowMs - 14 * minuteMs,
  error: { code: 'UNAVAILABLE', message: 'Could not list: connect ECONNREFUSED /var/run/docker.sock.' },
};
const byContainers: PodSourceStatus = { name: 'labels', backend: 'containers', state: 'live', connections: 0 };

function diagnoseStatus(given: Partial<MetaStoreStatus>, mounts = mountinfo) {
  const status: MetaStoreStatus = {
    state: 'running',
    ready: true,
    podSource: byContainers,
    engines: [liveEngine],
    reports: [],
    sequence: 1,
    pods: 2,
    containers: 3,
    ...given,
  };
  return diagnose({ status: () => status }, { nowMs, mountinfo: mounts });
}

describe('a diagnosis', () => {
  test('of a store that is well says so in one line', () => {
    const found = diagnoseStatus({});
    expect(found).toMatchObject({ schemaVersion: 1, severity: 'ok', verdict: 'live: docker; 2 pods, 3 containers' });
    expect(found.findings.map(({ id }) => id)).toEqual(['engine-live', 'pod-source-live']);
  });

  test('begins with how long an engine has been away, and with the cause', () => {
    const found = diagnoseStatus({ engines: [staleEngine] });
    expect(found.verdict).toBe('docker: stale 14 min since ECONNREFUSED');
    expect(found.findings[0]).toMatchObject({
      id: 'engine-stale',
      severity: 'failure',
      subject: 'docker:/var/run/docker.sock',
      remedy: expect.stringContaining('start it'),
    });
  });

  test('tells a socket that was replaced behind its mount from a daemon that is stopped', () => {
    const found = diagnoseStatus({ engines: [staleEngine] }, ofSocket('/docker.sock//deleted'));
    expect(found.verdict).toBe('docker: stale 14 min since ECONNREFUSED; the socket was replaced');
    expect(found.findings[0]?.remedy).toContain('mount the directory');
  });

  test('warns of a socket that is mounted as a file as long as it works', () => {
    const found = diagnoseStatus({}, ofSocket('/docker.sock'));
    expect(found).toMatchObject({ severity: 'warning', verdict: 'docker: the socket is mounted as a file' });
    expect(found.findings[0]?.id).toBe('socket-mounted-as-file');
  });

  test('puts the worst first and counts the others', () => {
    const containerd = { ...staleEngine, id: 'containerd:/run/containerd/containerd.sock', type: 'containerd' };
    const found = diagnoseStatus({ engines: [liveEngine, staleEngine, containerd] });
    expect(found.verdict).toBe('docker: stale 14 min since ECONNREFUSED; and 1 more');
    expect(found.findings.map(({ severity }) => severity)).toEqual(['failure', 'failure', 'ok', 'ok']);
  });

  test('of a store without an engine lists what was tried', () => {
    const report = { type: 'docker', packageName: '@crikit/engine-docker', packageVersion: '1.0.0' };
    const attempt = { endpoint: '/run/docker.sock', origin: 'well-known', step: 'stat' } as const;
    const message = '/run/docker.sock does not exist.';
    const absent = diagnoseStatus({
      engines: [],
      reports: [
        {
          ...report,
          status: 'not-applicable',
          reason: 'it is not on this node',
          attempts: [{ ...attempt, outcome: 'absent', code: 'ENOENT', message }],
        },
      ],
    });
    expect(absent).toMatchObject({ severity: 'failure', verdict: 'no container engine was found' });
    expect(absent.findings[0]?.message).toContain('/run/docker.sock');

    const refused = diagnoseStatus({
      engines: [],
      reports: [
        {
          ...report,
          status: 'failed',
          reason: 'it is here but cannot be used',
          attempts: [{ ...attempt, step: 'connect', outcome: 'failed', code: 'EACCES', message, remedy: 'Be root.' }],
        },
      ],
    });
    expect(refused.findings).toContainEqual(
      expect.objectContaining({ id: 'engine-unusable', severity: 'failure', subject: 'docker', remedy: 'Be root.' }),
    );
    expect(diagnoseStatus({ engines: [], reports: [] }).findings[0]).toMatchObject({
      id: 'no-engine',
      message: 'No engine package was imported.',
    });
  });

  test('takes a broken engine beside one that works for a warning, unless it was asked for', () => {
    const look = (origin: 'well-known' | 'environment') =>
      diagnoseStatus({
        reports: [
          {
            type: 'containerd',
            packageName: '@crikit/engine-containerd',
            packageVersion: '1.0.0',
            status: 'failed',
            reason: 'it is here but cannot be used',
            attempts: [
              { endpoint: '/c.sock', origin, step: 'connect', outcome: 'failed', code: 'EACCES', message: '' },
            ],
          },
        ],
      }).severity;
    expect(look('well-known')).toBe('warning');
    expect(look('environment')).toBe('failure');
  });

  test.each([
    [
      { state: 'stale', message: 'https://10.0.0.1/api/v1/pods answered 403: no.' },
      'pod-source-stale',
      '14 min since HTTP 403',
      'Allow get, list and watch',
    ],
    [
      { state: 'stale', message: 'https://10.0.0.5:10250/pods answered 401: no.' },
      'pod-source-stale',
      '14 min since HTTP 401',
      'token',
    ],
    [
      { state: 'live', message: 'connect ECONNREFUSED 10.0.0.1:443' },
      'pod-source-degraded',
      'kubelet stands in since ECONNREFUSED',
      'reached',
    ],
  ] as const)('says why pods do not come from where they should (%j)', ({ state, message }, id, verdict, remedy) => {
    const found = diagnoseStatus({
      podSource: {
        name: 'default',
        backend: 'kubelet',
        state,
        connections: 1,
        sinceMs: nowMs - 14 * minuteMs,
        error: { code: 'UNAVAILABLE', message },
      },
    });
    expect(found.findings[0]).toMatchObject({ id, remedy: expect.stringContaining(remedy) });
    expect(found.verdict).toContain(verdict);
  });

  test('speaks of containers whose details cannot be read', () => {
    const found = diagnoseStatus({ engines: [{ ...liveEngine, failingContainers: 2 }] });
    expect(found).toMatchObject({ severity: 'warning', verdict: 'docker: 2 containers cannot be read' });
  });

  test('of a store that was not started, is starting, or is closed says that and no more', () => {
    expect(diagnoseStatus({ state: 'new' })).toMatchObject({
      verdict: 'the store was not started',
      severity: 'failure',
    });
    expect(diagnoseStatus({ state: 'closed' }).findings.map(({ id }) => id)).toEqual(['store-not-running']);
    expect(diagnoseStatus({ state: 'starting', engines: [] }).findings[0]?.id).toBe('store-starting');
  });

  test('follows a real store through an outage, and is plain data', async () => {
    const engine = createInMemoryEngine();
    const store = createMetaStore({ engines: [engine.definition], enrichment: false, environment: {} });
    stores.push(store);
    expect(diagnose(store).verdict).toBe('the store was not started');
    await store.start();
    expect(diagnose(store)).toMatchObject({ severity: 'ok', verdict: expect.stringMatching(/^live: /) });
    engine.control.goAway();
    await waitUntil('the store has noticed', () => diagnose(store).severity === 'failure');
    const found = diagnose(store);
    expect(found.findings[0]?.id).toBe('engine-stale');
    expect(JSON.parse(JSON.stringify(found))).toEqual(found);
    engine.control.comeBack();
    await waitUntil('the store is live again', () => diagnose(store).severity === 'ok');
  });
});

test('the guide lists exactly the findings that there are', () => {
  const guide = readFileSync(join(import.meta.dirname, '../../../docs/metastore.md'), 'utf8');
  const [, section = ''] = guide.split('What can be found:');
  const listed = [...section.matchAll(/^\| `([a-z-]+)`/gm)].map(([, id]) => id);
  expect(listed.sort()).toEqual([...diagnosisFindingIds].sort());
});

describe('the mount of a socket', () => {
  test('is the nearest above it; the later one of the same place counts', () => {
    expect(findSocketMount('/run/docker.sock', mountinfo)).toEqual({
      mountPoint: '/run',
      isFile: false,
      isDeleted: false,
    });
    expect(findSocketMount('/opt/x.sock', mountinfo)?.mountPoint).toBe('/');
    const twice = `${ofSocket('/docker.sock//deleted')}42 40 0:30 /docker.sock /run/docker.sock rw - tmpfs tmpfs rw\n`;
    expect(findSocketMount('/run/docker.sock', twice)).toEqual({
      mountPoint: '/run/docker.sock',
      isFile: true,
      isDeleted: false,
    });
  });

  test('is found by the name that /var/run leads to, and with blanks in it', () => {
    expect(findSocketMount('/var/run/docker.sock', ofSocket('/docker.sock'))?.isFile).toBe(true);
    const text = `${mountinfo}\n41 40 0:30 /a//deleted /run/my\\040socket rw - tmpfs tmpfs rw`;
    expect(findSocketMount('/run/my socket', text)).toEqual({
      mountPoint: '/run/my socket',
      isFile: true,
      isDeleted: true,
    });
  });

  test('tells of a directory that was deleted too', () => {
    const text = `${mountinfo}\n41 40 0:30 /containerd//deleted /run/containerd rw - tmpfs tmpfs rw`;
    expect(findSocketMount('/run/containerd/containerd.sock', text)).toEqual({
      mountPoint: '/run/containerd',
      isFile: false,
      isDeleted: true,
    });
    expect(findSocketMount('/run/containerd-2.sock', text)?.mountPoint).toBe('/run');
  });
});

test.each([
  [350, '350 ms'],
  [35_400, '35 s'],
  [14 * minuteMs + 59_000, '14 min'],
  [185 * minuteMs, '3 h 5 min'],
  [52 * 60 * minuteMs, '2 d 4 h'],
])('%i ms is %s', (durationMs, text) => {
  expect(formatDuration(durationMs)).toBe(text);
});
