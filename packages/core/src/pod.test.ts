import { describe, expect, it } from 'vitest';
import type { Container } from './container.js';
import { findContainer, findContainerOrThrow, isPodRunning, mainBiz, mainBizOrThrow, type Pod } from './pod.js';

function containerOf(id: string, k8sName?: string): Container {
  return {
    scope: '',
    id,
    engineId: 'fake:/x',
    engineType: 'fake',
    shortId: id,
    name: id,
    ...(k8sName === undefined ? {} : { k8sName }),
    state: { status: 'running', pid: 1 },
    labels: {},
    env: {},
    mounts: [],
    withheld: {},
  };
}

function podOf(parts: Partial<Pod>): Pod {
  return {
    uid: 'u',
    namespace: 'shop',
    name: 'web-0',
    phase: 'Running',
    labels: {},
    annotations: {},
    all: [],
    biz: [],
    sidecar: [],
    initContainers: [],
    ephemeralContainers: [],
    exited: [],
    hostname: 'web-0',
    diagnostics: [],
    ...parts,
  };
}

describe('findContainer', () => {
  const running = containerOf('1', 'web');
  const pod = podOf({
    all: [running],
    initContainers: [containerOf('2', 'setup')],
    ephemeralContainers: [containerOf('3', 'debug')],
    exited: [containerOf('4', 'web'), containerOf('5', 'gone')],
  });

  it('finds containers of every kind, running ones first', () => {
    expect(findContainer(pod, 'web')).toBe(running);
    expect(['setup', 'debug', 'gone'].map((name) => findContainer(pod, name)?.id)).toEqual(['2', '3', '5']);
    expect(findContainerOrThrow(pod, 'web')).toBe(running);
  });

  it('is undefined, or throws with the names there are', () => {
    expect(findContainer(pod, 'other')).toBeUndefined();
    expect(() => findContainerOrThrow(pod, 'other')).toThrow(
      expect.objectContaining({ code: 'NOT_FOUND', message: expect.stringContaining('web, setup, debug, gone') }),
    );
    expect(() => findContainerOrThrow(podOf({}), 'other')).toThrow(/it has none/);
  });
});

describe('mainBiz', () => {
  const [one, other] = [containerOf('1', 'web'), containerOf('2')];

  it('is the one biz container', () => {
    expect(mainBiz(podOf({ biz: [one] }))).toBe(one);
    expect(mainBizOrThrow(podOf({ biz: [one] }))).toBe(one);
  });

  it('is undefined without one, and throws NO_BIZ', () => {
    expect(mainBiz(podOf({}))).toBeUndefined();
    expect(() => mainBizOrThrow(podOf({}))).toThrow(expect.objectContaining({ code: 'NO_BIZ' }));
  });

  it('is undefined with several, and throws MULTI_BIZ with their names', () => {
    const pod = podOf({ biz: [one, other] });
    expect(mainBiz(pod)).toBeUndefined();
    expect(() => mainBizOrThrow(pod)).toThrow(expect.objectContaining({ code: 'MULTI_BIZ', candidates: ['web', '2'] }));
  });
});

it('calls a pod running by its phase alone', () => {
  expect(isPodRunning(podOf({}))).toBe(true);
  for (const phase of ['Pending', 'Succeeded', 'Failed', 'Unknown'] as const)
    expect(isPodRunning({ phase })).toBe(false);
});
