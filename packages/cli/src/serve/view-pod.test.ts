import type { Pod } from '@crikit/core';
import { expect, test } from 'vitest';
import { viewPodDetail } from './view-pod.js';

test('no value of an environment variable is in a pod, wherever Kubernetes or kubectl wrote it', () => {
  const env = [{ name: 'PASSWORD', value: 'hunter2' }, { name: 'FROM_SECRET' }];
  const manifest = {
    'kubectl.kubernetes.io/last-applied-configuration': '{"env":[{"value":"hunter2"}]}',
    note: 'kept',
  };
  const pod: Pod = {
    uid: 'u1',
    namespace: 'shop',
    name: 'web-0',
    phase: 'Running',
    labels: {},
    annotations: manifest,
    all: [],
    biz: [],
    sidecar: [],
    initContainers: [],
    ephemeralContainers: [],
    exited: [
      {
        ...{ engineId: 'memory:1', engineType: 'memory', scope: '', id: 'c1', shortId: 'c1', name: 'web' },
        state: { status: 'exited', pid: 0 },
        labels: {},
        env: { PASSWORD: 'hunter2' },
        mounts: [],
        withheld: {},
      },
    ],
    hostname: 'web-0',
    diagnostics: [],
    object: {
      metadata: { uid: 'u1', annotations: manifest, creationTimestamp: '2026-01-02T03:04:05Z' },
      spec: {
        containers: [{ name: 'web', env }],
        initContainers: [{ name: 'init', env }],
        ephemeralContainers: [{ name: 'debug', env }],
      },
    },
  };

  const view = viewPodDetail(pod, 0);

  expect(JSON.stringify(view)).not.toContain('hunter2');
  expect(view.annotations.note).toBe('kept');
  expect(view.createdAt).toBe('2026-01-02T03:04:05.000Z');
  expect(view.containers).toMatchObject([{ id: 'c1', env: { PASSWORD: '***' } }]);
  expect(view.object?.spec?.initContainers).toEqual([
    { name: 'init', env: [{ name: 'PASSWORD', value: '***' }, { name: 'FROM_SECRET' }] },
  ]);
});
