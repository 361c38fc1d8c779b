import { createInMemoryEngine, type InMemoryEngineControl } from '@crikit/engine-conformance';
import { createMetaStore, type MetaStore } from '@crikit/metastore';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AmbiguousTargetError } from './errors/ambiguous-target-error.js';
import { exitCodeOf } from './exit-codes.js';
import { resolveContainer, resolveTarget } from './resolve-target.js';

let control: InMemoryEngineControl;
let store: MetaStore;
let web: Readonly<Record<string, string>>;

beforeEach(async () => {
  const engine = createInMemoryEngine();
  control = engine.control;
  web = control.addPod({
    namespace: 'shop',
    name: 'web-0',
    containers: [{ k8sName: 'main' }, { k8sName: 'log-sidecar' }],
  }).containers;
  control.addPod({ namespace: 'shop', name: 'db-0', containers: [{ k8sName: 'main' }] });
  control.addPod({ namespace: 'test', name: 'db-0', containers: [{ k8sName: 'proxy' }, { k8sName: 'db' }] });
  control.addContainer({ id: 'abcdef0123', name: 'lonely', status: 'running' });
  control.addContainer({ id: 'abcdef0456', name: 'gone', status: 'exited', exitCode: 1 });
  store = createMetaStore({ engines: [engine.definition], enrichment: false, hostRoot: '/' });
  await store.start();
});
afterEach(() => store.close());

const errorOf = (run: () => unknown): Error => {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  throw new Error('it did not throw');
};

describe('a container is found', () => {
  test('by its id, by a prefix of 6 characters, and by its id with a scheme', () => {
    const id = web.main ?? '';
    for (const text of [id, id.slice(0, 12), id.slice(0, 6), `memory://${id}`]) {
      expect(resolveContainer(store, text).id, text).toBe(id);
    }
  });

  test("by the engine's name of it, whether it runs or not", () => {
    expect(resolveContainer(store, 'lonely').id).toBe('abcdef0123');
    expect(resolveContainer(store, 'gone').id).toBe('abcdef0456');
  });

  test('by its name in the spec, where one pod alone has it', () => {
    expect(resolveContainer(store, 'log-sidecar').id).toBe(web['log-sidecar']);
  });

  test('by namespace, pod and its name in the spec', () => {
    expect(resolveContainer(store, 'shop/web-0/log-sidecar').id).toBe(web['log-sidecar']);
  });

  test('by the pod, whose only business container it is', () => {
    expect(resolveContainer(store, 'shop/web-0').id).toBe(web.main);
    expect(resolveContainer(store, 'web-0').id).toBe(web.main);
  });

  test('by the pod also when it has ended, and then the newest', () => {
    control.stopContainer(web.main ?? '', 1);
    expect(resolveContainer(store, 'shop/web-0').id).toBe(web.main);
  });
});

describe('a pod is found', () => {
  test('by namespace and name, and by its name where no other has it', () => {
    expect(resolveTarget(store, 'shop/web-0')).toMatchObject({ kind: 'pod', pod: { name: 'web-0' } });
    expect(resolveTarget(store, 'web-0')).toMatchObject({ kind: 'pod', pod: { namespace: 'shop' } });
  });

  test('before its business container that has the same name', async () => {
    control.addPod({ namespace: 'shop', name: 'cache', containers: [{ k8sName: 'cache' }] });
    await store.waitFor({ pod: { namespace: 'shop', name: 'cache' } });
    expect(resolveTarget(store, 'cache')).toMatchObject({ kind: 'pod', pod: { name: 'cache' } });
  });
});

describe('what fits several', () => {
  test('is an error with exit code 4 that lists them, each beginning with what names it alone', () => {
    const error = errorOf(() => resolveTarget(store, 'main'));
    expect(error).toBeInstanceOf(AmbiguousTargetError);
    expect(exitCodeOf(error)).toBe(4);
    const { candidates } = error as AmbiguousTargetError;
    expect(candidates.map((line) => line.replace(/^[0-9a-f]{12} {2}/, '')).sort()).toEqual([
      'shop/db-0/main  (memory, running)',
      'shop/web-0/main  (memory, running)',
    ]);
    for (const line of candidates) {
      const [id = ''] = line.split(' ');
      expect(resolveContainer(store, id).k8sName).toBe('main');
    }
    expect(error.message.split('\n')).toHaveLength(4);
  });

  test('by a prefix says so too, and a longer one fits one', () => {
    expect((errorOf(() => resolveTarget(store, 'abcdef0')) as AmbiguousTargetError).candidates).toHaveLength(2);
    expect(resolveContainer(store, 'abcdef01').name).toBe('lonely');
  });

  test('by the name of pods in two namespaces lists them as namespace/pod', () => {
    const { candidates } = errorOf(() => resolveTarget(store, 'db-0')) as AmbiguousTargetError;
    expect([...candidates].sort()).toEqual(['shop/db-0  (pod, Running)', 'test/db-0  (pod, Running)']);
  });

  test('as the business containers of a pod are listed', () => {
    const error = errorOf(() => resolveContainer(store, 'test/db-0')) as AmbiguousTargetError;
    expect(error).toMatchObject({ code: 'AMBIGUOUS' });
    expect(error.candidates.map((line) => line.split(/ +/)[1]).sort()).toEqual(['test/db-0/db', 'test/db-0/proxy']);
  });
});

describe('what fits nothing', () => {
  test('is an error with exit code 3 that names what is similar', () => {
    const error = errorOf(() => resolveTarget(store, 'web'));
    expect(exitCodeOf(error)).toBe(3);
    expect(error.message).toContain('Did you mean shop/web-0?');
    expect(error.message).toContain("'crikit ps --all'");
  });

  test('because the prefix is too short says so', () => {
    expect(errorOf(() => resolveTarget(store, 'abc')).message).toContain('at least 6 characters');
  });

  test('in a namespace names the namespaces that have such a pod', () => {
    const error = errorOf(() => resolveTarget(store, 'prod/web-0'));
    expect(error.message).toContain('shop/web-0');
    expect(exitCodeOf(error)).toBe(3);
  });

  test('in a pod names the containers that it has', () => {
    expect(errorOf(() => resolveTarget(store, 'shop/web-0/nginx')).message).toContain('it has');
  });

  test('because it is no TARGET at all is misuse', () => {
    for (const text of ['', 'a//b', 'a/b/c/d', '/x']) {
      expect(exitCodeOf(errorOf(() => resolveTarget(store, text))), text).toBe(text === '/x' ? 3 : 2);
    }
  });
});
