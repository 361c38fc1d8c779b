import { get } from 'node:http';
import type { Container, TzInfo } from '@crikit/core';
import { createFakeApiServer } from '@crikit/engine-conformance';
import { apiServerPods } from '@crikit/metastore';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import openApi from './openapi.json' with { type: 'json' };
import { createRoutes } from './routes.js';
import { fixtureToken, type Reply, type ServeFixture, startServeFixture } from './serve-fixture.js';
import { viewContainer } from './view-container.js';

interface Operation {
  readonly security?: readonly unknown[];
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<Record<string, Described>>;
}

type Described =
  | { readonly description: string; readonly content?: Readonly<Record<string, { readonly schema: object }>> }
  | { readonly $ref: string };

const operations = Object.entries(openApi.paths as unknown as Readonly<Record<string, { readonly get: Operation }>>);
const ajv = new Ajv2020({ strict: false });
ajv.addSchema({ ...openApi, $id: 'openapi' });

const cleanUps: (() => unknown)[] = [];
let fixture: ServeFixture;
let ids: Readonly<Record<string, string>>;

/** A store that has about everything: pods of an API server, a container of none, one that is gone. */
beforeAll(async () => {
  const server = await createFakeApiServer();
  cleanUps.push(() => server[Symbol.asyncDispose]());
  fixture = await startServeFixture({
    store: {
      pods: apiServerPods({
        name: 'fake',
        connect: async () => ({ server: server.url, nodeName: 'node-1', credentials: async () => ({}) }),
      }),
    },
  });
  cleanUps.push(() => fixture[Symbol.asyncDispose]());
  const { engine, store } = fixture;
  const env = [{ name: 'PASSWORD', value: 'hunter2' }];
  const { metadata } = server.put('pods', {
    metadata: {
      name: 'web-7d9c5b7f4-x2x1z',
      namespace: 'shop',
      labels: { app: 'web', 'pod-template-hash': '7d9c5b7f4' },
      ownerReferences: [{ kind: 'ReplicaSet', name: 'web-7d9c5b7f4', uid: 'r1', controller: true }],
    },
    spec: { nodeName: 'node-1', containers: [{ name: 'web', env }, { name: 'sidecar-log' }] },
    status: { phase: 'Running', podIP: '10.1.0.7', hostIP: '10.0.0.9' },
  });
  const { uid = '' } = metadata as { uid?: string };
  const pod = engine.addPod({
    namespace: 'shop',
    name: 'web-7d9c5b7f4-x2x1z',
    uid,
    containers: [
      { k8sName: 'web', env: { PASSWORD: 'hunter2' }, mounts: [{ source: '/a', destination: '/b', readWrite: false }] },
      { k8sName: 'sidecar-log', status: 'exited', exitCode: 2 },
    ],
  });
  const alone = engine.addContainer({ status: 'running', withheld: { archive: 'not here' } });
  const gone = engine.addContainer({ status: 'running' });
  await store.waitFor({ cid: gone });
  engine.removeContainer(gone);
  await vi.waitFor(() => {
    expect(store.getContainerByCid(gone)?.deletedAt).toBeDefined();
    expect(store.getPodByUid(uid)?.object).toBeDefined();
    expect(store.getPodByUid(uid)?.exited).toHaveLength(1);
    expect(store.getContainerByCid(alone)).toBeDefined();
  });
  ids = { uid, id: pod.containers.web ?? '', alone, gone };
}, 20_000);

afterAll(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp();
});

test('the file is a valid description by the rules of OpenAPI 3.1', async () => {
  const validator = new Validator();
  expect(await validator.validate(structuredClone(openApi))).toMatchObject({ valid: true });
  expect(validator.version).toBe('3.1');
});

test('every route is in the file with its parameters, and nothing else is', () => {
  const routes = createRoutes({
    store: fixture.store,
    page: { html: '', contentSecurityPolicy: '' },
    metrics: {} as never,
  });
  expect(operations.map(([path]) => path)).toEqual(routes.map(({ path }) => path));
  for (const { path, query = [], isOpen = false } of routes) {
    const operation = operations.find(([described]) => described === path)?.[1].get;
    const named = (place: string): (string | undefined)[] =>
      operation?.parameters?.flatMap((parameter) => (parameter.in === place ? parameter.name : [])) ?? [];
    expect(named('query')).toEqual(query);
    expect(named('path')).toEqual([...path.matchAll(/\{(.+?)\}/g)].map(([, name]) => name));
    expect(operation?.security?.length === 0).toBe(isOpen);
  }
});

test.each([
  ['/', '/', 200],
  ['/', `/?token=${fixtureToken}`, 303],
  ['/', '/?x=1', 400],
  ['/healthz', '/healthz', 200],
  ['/healthz', '/healthz?x=1', 400],
  ['/readyz', '/readyz', 200],
  ['/readyz', '/readyz?x=1', 400],
  ['/metrics', '/metrics', 200],
  ['/metrics', '/metrics?x=1', 400],
  ['/openapi.json', '/openapi.json', 200],
  ['/openapi.json', '/openapi.json?x=1', 400],
  ['/api/v1/pods', '/api/v1/pods', 200],
  ['/api/v1/pods', '/api/v1/pods?ip=10.1.0.7&hostNetwork=true', 200],
  ['/api/v1/pods', '/api/v1/pods?hostNetwork=true', 400],
  ['/api/v1/pods/{uid}', '/api/v1/pods/UID', 200],
  ['/api/v1/pods/{uid}', '/api/v1/pods/UID?x=1', 400],
  ['/api/v1/pods/{uid}', '/api/v1/pods/unknown', 404],
  ['/api/v1/containers', '/api/v1/containers', 200],
  ['/api/v1/containers', '/api/v1/containers?x=1', 400],
  ['/api/v1/containers/{id}', '/api/v1/containers/ID', 200],
  ['/api/v1/containers/{id}', '/api/v1/containers/ALONE', 200],
  ['/api/v1/containers/{id}', '/api/v1/containers/GONE', 200],
  ['/api/v1/containers/{id}', '/api/v1/containers/ID?x=1', 400],
  ['/api/v1/containers/{id}', '/api/v1/containers/unknown', 404],
  ['/api/v1/containers/{id}/explanation', '/api/v1/containers/ID/explanation', 200],
  ['/api/v1/containers/{id}/explanation', '/api/v1/containers/GONE/explanation', 200],
  ['/api/v1/containers/{id}/explanation', '/api/v1/containers/unknown/explanation', 200],
  ['/api/v1/containers/{id}/explanation', '/api/v1/containers/ID/explanation?x=1', 400],
  ['/api/v1/processes/{pid}', '/api/v1/processes/4194304', 404],
  ['/api/v1/processes/{pid}', '/api/v1/processes/x', 400],
  ['/api/v1/status', '/api/v1/status', 200],
  ['/api/v1/status', '/api/v1/status?x=1', 400],
  ['/api/v1/diagnosis', '/api/v1/diagnosis', 200],
  ['/api/v1/diagnosis', '/api/v1/diagnosis?x=1', 400],
  ['/api/v1/events', '/api/v1/events?x=1', 400],
])('%s answers %s with %i as the file says', async (path, template, status) => {
  const reply = await fixture.ask(
    template
      .replace('UID', ids.uid ?? '')
      .replace('ALONE', ids.alone ?? '')
      .replace('GONE', ids.gone ?? '')
      .replace('ID', ids.id ?? ''),
  );
  expect(reply.status).toBe(status);
  expectDescribed(path, reply);
  expect(reply.text).not.toContain('hunter2');
});

test('every route without a token, and by another name, answers as the file says', async () => {
  for (const [path, { security }] of operations.map(([path, { get: operation }]) => [path, operation] as const)) {
    const concrete = path.replace(/\{.+?\}/, '1');
    expectDescribed(path, await fixture.ask(concrete, { headers: { host: 'evil.example' } }), 403);
    if (security === undefined) expectDescribed(path, await fixture.ask(concrete, { withToken: false }), 401);
  }
});

test('a container that was looked into, also by an engine of somebody else, is as the file says', () => {
  const container = fixture.store.getContainerByCid(ids.id ?? '') as Container;
  const tz: TzInfo = {
    ...{ name: 'Asia/Shanghai', envTz: 'Asia/Shanghai', etcLocaltime: 'UTC', zone: 'LMT', offset: 1, at: 'then' },
    types: [{ abbreviation: 'CST', offset: 28_800, isDst: false }],
    ...{ transitions: [], transitionTypes: [], libc: 'musl', libcAssumed: false },
  };
  const found = {
    tz,
    alpineStatus: 'yes',
    pid1Name: 'sh',
    zombieCount: 2,
    pid1CanRecycleZombieProcesses: false,
  } as const;
  const view = viewContainer({ ...container, ...found, helperStatus: 'ok', 'acme:value': { any: 1 } } as Container, 0);
  expect(view.tz).toMatchObject({ zone: 'CST', offset: 28_800, at: '1970-01-01T00:00:00.000Z' });
  expectSchema('openapi#/components/schemas/Container', JSON.parse(JSON.stringify(view)));
});

test('events and the status in their stream are as the file says', async () => {
  const { engine, server } = fixture;
  const text = await new Promise<string>((resolve, reject) => {
    const headers = { authorization: `Bearer ${fixtureToken}` };
    const request = get({ host: '127.0.0.1', port: server.port, path: '/api/v1/events', headers }, (response) => {
      let told = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        if (told === '') engine.addPod({ namespace: 'shop', name: 'late', containers: [{ k8sName: 'late' }] });
        told += chunk;
        if (!/event: container-added\n.*"late"/.test(told) || !told.endsWith('\n\n')) return;
        request.destroy();
        resolve(told);
      });
    });
    request.once('error', reject);
  });
  const told = [...text.matchAll(/^event: (.*)\ndata: (.*)$/gm)].map(([, name, data = '']) => ({ name, data }));
  expect(new Set(told.map(({ name }) => name))).toEqual(new Set(['resync', 'status', 'pod-added', 'container-added']));
  for (const { name, data } of told) {
    const parsed = JSON.parse(data) as { type?: string };
    expectSchema(`openapi#/components/schemas/${name === 'status' ? 'Status' : 'Event'}`, parsed);
    if (name !== 'status') expect(parsed.type).toBe(name);
  }
});

test('a member that is not in the file is found', () => {
  const view = viewContainer(fixture.store.getContainerByCid(ids.id ?? '') as Container, 0);
  expect(() => expectSchema('openapi#/components/schemas/Container', { ...view, unknown: 1 })).toThrow();
  const { id: _, ...incomplete } = view;
  expect(() => expectSchema('openapi#/components/schemas/Container', incomplete)).toThrow();
});

function expectDescribed(path: string, { status, headers, text }: Reply, expectedStatus = status): void {
  expect(status).toBe(expectedStatus);
  const pointer = `/paths/${path.replaceAll('~', '~0').replaceAll('/', '~1')}/get/responses/${status}`;
  let described = operations.find(([each]) => each === path)?.[1].get.responses[String(status)];
  let place = pointer;
  if (described !== undefined && '$ref' in described) {
    place = described.$ref.slice(1);
    described = openApi.components.responses[place.split('/').at(-1) as keyof typeof openApi.components.responses];
  }
  if (described === undefined || '$ref' in described) throw new Error(`${path} has no answer ${status} in the file.`);
  const [type] = (headers['content-type'] ?? '').split(';');
  if (described.content === undefined) {
    expect(text).toBe('');
    return;
  }
  expect(Object.keys(described.content)).toContain(type);
  if (type !== 'application/json') return;
  expectSchema(`openapi#${encodeURI(place)}/content/application~1json/schema`, JSON.parse(text));
}

function expectSchema(reference: string, value: unknown): void {
  const validate = ajv.getSchema(reference) ?? ajv.compile({ $ref: reference });
  validate(value);
  expect(validate.errors ?? []).toEqual([]);
}
