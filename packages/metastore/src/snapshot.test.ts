import type { Container, Pod } from '@crikit/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { emptySnapshot, nextSnapshot, type Snapshot, type SnapshotChange } from './snapshot.js';

function makeContainer(key: string, name: string, k8sName: string | undefined): Container {
  return {
    engineId: 'memory:1',
    engineType: 'memory',
    scope: '',
    id: `${key}-${name}-with-a-long-id`,
    shortId: `${key}-${name}`.slice(0, 12),
    name,
    state: { status: 'running', pid: 1 },
    labels: {},
    env: {},
    mounts: [],
    withheld: {},
    ...(k8sName === undefined ? {} : { k8sName }),
  };
}

function makePod(uid: string, name: string, sandboxId: string): Pod {
  const sandbox: Container = { ...makeContainer(sandboxId, 'pause', undefined), role: 'sandbox' };
  return {
    uid,
    namespace: 'shop',
    name,
    phase: 'Running',
    labels: {},
    annotations: {},
    all: [sandbox],
    biz: [],
    sidecar: [],
    initContainers: [],
    ephemeralContainers: [],
    exited: [],
    hostname: name,
    diagnostics: [],
  };
}

const word = fc.constantFrom('a', 'b', 'c');
const changes: fc.Arbitrary<SnapshotChange> = fc.record({
  pods: fc
    .array(fc.tuple(word, fc.option(fc.tuple(word, word), { nil: undefined })))
    .map(
      (entries) =>
        new Map(entries.map(([uid, pod]) => [uid, pod === undefined ? undefined : makePod(uid, pod[0], pod[1])])),
    ),
  containers: fc
    .array(fc.tuple(word, fc.option(fc.tuple(word, fc.option(word, { nil: undefined })), { nil: undefined })))
    .map(
      (entries) =>
        new Map(
          entries.map(([key, given]) => [
            key,
            given === undefined ? undefined : makeContainer(key, given[0], given[1]),
          ]),
        ),
    ),
});

const indexNames = ['uidsByName', 'uidsBySandboxId', 'keysById', 'keysByShortId', 'keysByName'] as const;

function showIndexes(snapshot: Snapshot): object {
  return Object.fromEntries(
    indexNames.map((name) => [
      name,
      Object.fromEntries([...snapshot[name]].map(([key, values]) => [key, [...values].sort()])),
    ]),
  );
}

test('after any changes the indexes are those of the same state made at once', () => {
  fc.assert(
    fc.property(fc.array(changes, { maxLength: 8 }), (history) => {
      const snapshot = history.reduce((previous, change) => nextSnapshot(previous, change, 1), emptySnapshot);
      const atOnce = nextSnapshot(emptySnapshot, { pods: snapshot.podsByUid, containers: snapshot.containersByKey }, 1);
      expect(showIndexes(snapshot)).toEqual(showIndexes(atOnce));
      expect(snapshot.pods).toEqual([...snapshot.podsByUid.values()]);
      expect(snapshot.containers).toEqual([...snapshot.containersByKey.values()]);
    }),
  );
});

test('a change leaves the snapshot before it as it was, and shares what it does not touch', () => {
  const pods = new Map([['uid', makePod('uid', 'web-0', 's')]]);
  const before = nextSnapshot(emptySnapshot, { pods, containers: new Map() }, 1);
  const shown = showIndexes(before);
  const after = nextSnapshot(before, { pods: new Map([['uid', undefined]]), containers: new Map() }, 2);
  expect(showIndexes(before)).toEqual(shown);
  expect(before.pods).toHaveLength(1);
  expect(after.pods).toHaveLength(0);
  expect(after.containersByKey).toBe(before.containersByKey);
  expect(after.keysById).toBe(before.keysById);
  expect(after.sequence).toBe(before.sequence + 1);
});
