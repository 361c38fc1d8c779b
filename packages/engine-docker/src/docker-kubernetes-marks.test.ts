import { describe, expect, test } from 'vitest';
import { readDockerMarks } from './docker-kubernetes-marks.js';

const labels = {
  'io.kubernetes.pod.uid': 'u-1',
  'io.kubernetes.pod.name': 'web-0',
  'io.kubernetes.pod.namespace': 'shop',
  'io.kubernetes.container.name': 'main',
  'io.kubernetes.docker.type': 'container',
  'io.kubernetes.sandbox.id': 'aa',
};
const mark = {
  kind: 'container',
  podUid: 'u-1',
  namespace: 'shop',
  podName: 'web-0',
  containerName: 'main',
  sandboxId: 'aa',
};

describe('labels count', () => {
  test('when the name is a kubelet’s with the same uid', () => {
    expect(readDockerMarks('k8s_main_web-0_shop_u-1_0', labels, false)).toEqual({ ...mark, trust: 'engine' });
  });

  test('when the name has the random end of one that was taken', () => {
    expect(readDockerMarks('k8s_main_web-0_shop_u-1_3_5d2f', labels, false)).toEqual({ ...mark, trust: 'engine' });
  });

  test('when the user trusts labels, and then say so', () => {
    expect(readDockerMarks('web', labels, true)).toEqual({ ...mark, trust: 'labels' });
  });
});

describe('labels of an image count for nothing', () => {
  test.each([
    ['any other name', 'web'],
    ['a kubelet’s name with another uid', 'k8s_main_web-0_shop_u-2_0'],
    ['a name that only begins like a kubelet’s', 'k8s_main'],
    ['a name with a part too many', 'k8s_main_x_web-0_shop_u-1_0_a'],
  ])('with %s', (_, name) => {
    expect(readDockerMarks(name, labels, false)).toBeUndefined();
  });

  test('with a kubelet’s name and no labels', () => {
    expect(readDockerMarks('k8s_main_web-0_shop_u-1_0', {}, true)).toBeUndefined();
  });

  test('where the name says something else of the pod', () => {
    const forged = { ...labels, 'io.kubernetes.pod.namespace': 'kube-system', 'io.kubernetes.pod.name': 'etcd' };
    expect(readDockerMarks('k8s_main_web-0_shop_u-1_0', forged, false)).toMatchObject({
      namespace: 'shop',
      podName: 'web-0',
    });
  });
});

describe('a sandbox', () => {
  test.each([
    ['by its name', 'k8s_POD_web-0_shop_u-1_0', {}, false],
    ['by its type', 'k8s_x_web-0_shop_u-1_0', { 'io.kubernetes.docker.type': 'podsandbox' }, false],
    ['by trusted labels', 'pause', { 'io.kubernetes.container.name': 'POD' }, true],
  ])('is told %s', (_, name, more, trust) => {
    expect(readDockerMarks(name, { ...labels, ...more }, trust)?.kind).toBe('sandbox');
  });

  test('needs a uid like everything else', () => {
    expect(readDockerMarks('k8s_POD', { 'io.kubernetes.docker.type': 'podsandbox' }, true)).toBeUndefined();
  });
});
