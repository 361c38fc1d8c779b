import { describe, expect, test } from 'vitest';
import type { KubernetesPod } from './kubernetes-pod.js';
import { resolvePodOwner } from './pod-owner.js';

function makePod(kind: string, name: string, more: { labels?: Record<string, string>; controller?: boolean } = {}) {
  const { labels = {}, controller = true } = more;
  return { metadata: { labels, ownerReferences: [{ kind, name, uid: 'owner-uid', controller }] } } as KubernetesPod;
}

describe('the owner of a pod', () => {
  test.each([
    ['ReplicaSet', 'web-6d4cf56db6', { labels: { 'pod-template-hash': '6d4cf56db6' } }, 'Deployment', 'web'],
    ['ReplicaSet', 'web-6d4cf56db6', {}, 'ReplicaSet', 'web-6d4cf56db6'],
    ['ReplicaSet', 'web', { labels: { 'pod-template-hash': 'other' } }, 'ReplicaSet', 'web'],
    ['Job', 'backup-29938080', {}, 'CronJob', 'backup'],
    ['Job', 'backup-1609459200', {}, 'CronJob', 'backup'],
    ['Job', 'backup-20260131', {}, 'Job', 'backup-20260131'],
    ['Job', 'backup', {}, 'Job', 'backup'],
    ['StatefulSet', 'db', {}, 'StatefulSet', 'db'],
    ['DaemonSet', 'agent', {}, 'DaemonSet', 'agent'],
    ['Rollout', 'canary', {}, 'Rollout', 'canary'],
  ])('%s %s, %o: %s %s', (kind, name, more, ownerKind, ownerName) => {
    expect(resolvePodOwner(makePod(kind, name, more))).toEqual({
      kind: ownerKind,
      name: ownerName,
      controller: { kind, name, uid: 'owner-uid' },
    });
  });

  test('a mirror pod belongs to nobody, like the static pod that it shows', () => {
    expect(resolvePodOwner(makePod('Node', 'lab-node'))).toBeUndefined();
  });

  test('an owner that does not control is none, and a pod may have none', () => {
    expect(resolvePodOwner(makePod('ConfigMap', 'some', { controller: false }))).toBeUndefined();
    expect(resolvePodOwner({})).toBeUndefined();
  });
});
