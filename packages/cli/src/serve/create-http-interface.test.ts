import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { fixtureToken, type ServeFixture, type ServeFixtureOptions, startServeFixture } from './serve-fixture.js';

const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function start(options?: ServeFixtureOptions): Promise<ServeFixture> {
  const fixture = await startServeFixture(options);
  cleanUps.push(() => fixture[Symbol.asyncDispose]());
  return fixture;
}

const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 10_000, interval: 5 });

const failure = (code: string): unknown => ({ error: { code, message: expect.any(String) } });

describe('who may ask', () => {
  test.each(['/', '/metrics', '/openapi.json', '/api/v1/pods', '/api/v1/events', '/no/such/thing'])(
    '%s answers 401 without the token, and tells nothing',
    async (path) => {
      const { ask } = await start();
      for (const headers of [{}, { authorization: 'Bearer wrong' }, { cookie: 'crikit-1=wrong' }]) {
        const reply = await ask(path, { withToken: false, headers });
        expect(reply.status).toBe(401);
        expect(reply.json()).toEqual(failure('UNAUTHORIZED'));
        expect(reply.headers['www-authenticate']).toContain('Bearer');
      }
    },
  );

  test.each(['/healthz', '/readyz'])('%s needs no token, and says no more than that', async (path) => {
    const { ask } = await start();
    const reply = await ask(path, { withToken: false });
    expect(reply.status).toBe(200);
    expect(Object.keys(reply.json() as object)).toHaveLength(1);
  });

  test('the address with the token gives a cookie, leads away from the token, and the cookie opens everything', async () => {
    const { ask, server } = await start();
    const first = await ask(`/?token=${fixtureToken}`, { withToken: false });
    expect(first.status).toBe(303);
    expect(first.headers.location).toBe('/');
    const [cookie = ''] = first.headers['set-cookie'] ?? [];
    expect(cookie).toMatch(new RegExp(`^crikit-${server.port}=[\\w-]+; Path=/; HttpOnly; SameSite=Lax$`));
    const headers = { cookie: cookie.split(';')[0] ?? '' };
    const page = await ask('/', { withToken: false, headers });
    expect(page.status).toBe(200);
    expect(page.headers['content-type']).toContain('text/html');
    expect((await ask('/api/v1/pods', { withToken: false, headers })).status).toBe(200);
  });

  test('a wrong token in the address is refused, and nowhere else is one read from there', async () => {
    const { ask } = await start();
    const wrong = await ask('/?token=wrong', { withToken: false });
    expect(wrong.status).toBe(401);
    expect(wrong.headers['set-cookie']).toBeUndefined();
    expect((await ask(`/api/v1/pods?token=${fixtureToken}`, { withToken: false })).status).toBe(401);
  });

  test.each(['evil.example', 'evil.example:80', 'localhost.evil.example', '10.0.0.1'])(
    'a page that made its own name %s lead here gets nothing, with the token or without',
    async (host) => {
      const { ask } = await start();
      for (const path of ['/', '/healthz', '/api/v1/pods', `/?token=${fixtureToken}`]) {
        const reply = await ask(path, { headers: { host } });
        expect(reply.status).toBe(403);
        expect(reply.json()).toEqual(failure('HOST_REFUSED'));
        expect(reply.headers['set-cookie']).toBeUndefined();
      }
    },
  );

  test('the name localhost, on another port, is as good: somebody forwards it', async () => {
    const { ask } = await start();
    expect((await ask('/api/v1/pods', { headers: { host: 'localhost:8080' } })).status).toBe(200);
  });

  test.each(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'])('%s is refused everywhere', async (method) => {
    const { ask } = await start();
    for (const path of ['/', '/healthz', '/api/v1/pods', '/no/such/thing']) {
      const reply = await ask(path, { method });
      expect(reply.status).toBe(405);
      expect(reply.headers.allow).toBe('GET, HEAD');
    }
  });

  test('HEAD answers as GET without the body', async () => {
    const { ask } = await start();
    for (const path of ['/', '/healthz', '/metrics', '/api/v1/pods', '/api/v1/events']) {
      const reply = await ask(path, { method: 'HEAD' });
      expect(reply.status).toBe(200);
      expect(reply.text).toBe('');
    }
  });

  test('no answer lets another origin read it, load it in a frame, or keep it', async () => {
    const { ask } = await start();
    for (const path of ['/', '/healthz', '/metrics', '/api/v1/pods', '/no/such/thing']) {
      const { headers } = await ask(path, { headers: { origin: 'http://evil.example' } });
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control-'))).toEqual([]);
      expect(headers['content-security-policy']).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
      expect(headers['cross-origin-resource-policy']).toBe('same-origin');
      expect(headers['cache-control']).toBe('no-store');
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['referrer-policy']).toBe('no-referrer');
    }
  });

  test('a request that is too large, or too strange, ends in an error and harms nobody', async () => {
    const { ask, errors } = await start();
    expect((await ask('/api/v1/pods', { headers: { 'x-large': 'x'.repeat(9_000) } })).status).toBe(431);
    for (const path of ['//api/v1/pods', '/api/v1/containers/%zz', '/api/v1/containers/', '/%2e%2e/etc/passwd', '*']) {
      const reply = await ask(path);
      expect(reply.status).toBe(404);
      expect(reply.json()).toEqual(failure('NOT_FOUND'));
    }
    expect((await ask('/api/v1/pods')).status).toBe(200);
    expect(errors).toEqual([]);
  });
});

describe('what is answered', () => {
  test('a container is found by id, prefix and scheme, and is not found as JSON', async () => {
    const { ask, engine, store } = await start();
    const id = engine.addContainer({ status: 'running', env: { PASSWORD: 'hunter2' } });
    await store.waitFor({ cid: id });
    for (const name of [id, id.slice(0, 12), id.slice(0, 7), encodeURIComponent(`memory://${id}`)]) {
      expect((await ask(`/api/v1/containers/${name}`)).json()).toMatchObject({ id, env: { PASSWORD: '***' } });
    }
    const missing = await ask('/api/v1/containers/0123456789ab');
    expect(missing.status).toBe(404);
    expect(missing.json()).toEqual(failure('NOT_FOUND'));
  });

  test('an id that fits several containers answers 409 with all of them', async () => {
    const { ask, engine, store } = await start();
    const ids = ['1', '2'].map((last) => engine.addContainer({ id: `${'a'.repeat(63)}${last}`, status: 'running' }));
    for (const cid of ids) await store.waitFor({ cid });
    const reply = await ask('/api/v1/containers/aaaaaaaa');
    expect(reply.status).toBe(409);
    expect(reply.json()).toMatchObject({
      error: { code: 'AMBIGUOUS', candidates: [{}, {}].map(() => expect.any(String)) },
    });
  });

  test('why a container is not there is explained', async () => {
    const { ask } = await start();
    const reply = await ask('/api/v1/containers/0123456789ab/explanation');
    expect(reply.status).toBe(200);
    expect(reply.json()).toMatchObject({ outcome: 'unknown', reasons: [expect.stringContaining('no such container')] });
  });

  test('a pod has its containers, by uid and by address', async () => {
    const { ask, engine, store } = await start();
    const { uid, containers, sandboxId } = engine.addPod({
      namespace: 'shop',
      name: 'web-0',
      containers: [{ k8sName: 'web', env: { PASSWORD: 'hunter2' } }, { k8sName: 'sidecar-proxy' }],
    });
    await until(() => expect(store.getPodByUid(uid)?.all).toHaveLength(3));
    const reply = await ask(`/api/v1/pods/${uid}`);
    expect(reply.json()).toMatchObject({
      namespace: 'shop',
      sandbox: sandboxId,
      biz: [containers.web],
      sidecar: [containers['sidecar-proxy']],
    });
    expect((reply.json() as { containers: unknown[] }).containers).toHaveLength(3);
    expect(reply.text).not.toContain('hunter2');
    expect((await ask('/api/v1/pods')).json()).toMatchObject({ pods: [{ uid }] });
    expect((await ask('/api/v1/pods?ip=10.1.2.3')).json()).toMatchObject({ pods: [] });
    expect((await ask('/api/v1/pods/unknown')).status).toBe(404);
  });

  test.each([
    '/api/v1/pods?adress=10.0.0.1',
    '/api/v1/pods?hostNetwork=true',
    '/api/v1/pods?ip=10.0.0.1&hostNetwork=yes',
    '/healthz?x=1',
    '/api/v1/processes/zero',
    '/api/v1/processes/0',
    '/api/v1/processes/1.5',
  ])('%s is a mistake, and is told so', async (path) => {
    const { ask } = await start();
    const reply = await ask(path);
    expect(reply.status).toBe(400);
    expect(reply.json()).toEqual(failure('INVALID_ARGUMENT'));
  });

  test('a process that is in no container is not found', async () => {
    const { ask } = await start();
    expect((await ask(`/api/v1/processes/${process.pid}`)).status).toBe(404);
  });

  test('readiness and diagnosis follow the engine', async () => {
    const { ask, engine } = await start();
    expect((await ask('/readyz')).json()).toEqual({ ready: true });
    expect((await ask('/api/v1/diagnosis')).json()).toMatchObject({ severity: 'ok' });
    engine.goAway();
    await until(async () => expect((await ask('/readyz')).status).toBe(503));
    expect((await ask('/healthz')).status).toBe(200);
    expect((await ask('/api/v1/diagnosis')).json()).toMatchObject({ severity: 'failure' });
    expect((await ask('/api/v1/status')).json()).toMatchObject({ ready: false, engines: [{ state: 'stale' }] });
  });

  test('the status tells who answers', async () => {
    const { ask } = await start();
    expect((await ask('/api/v1/status')).json()).toMatchObject({ agent: { nodeName: 'node-1', podIP: '10.0.0.9' } });
  });

  test('an error that nobody foresaw is told here, not there', async () => {
    const { ask, store, errors } = await start();
    vi.spyOn(store, 'getAllPods').mockImplementation(() => {
      throw new Error('the secret reason');
    });
    const reply = await ask('/api/v1/pods');
    expect(reply.status).toBe(500);
    expect(reply.json()).toEqual(failure('INTERNAL'));
    expect(reply.text).not.toContain('the secret reason');
    expect(errors).toMatchObject([{ message: 'the secret reason' }]);
  });

  test('a server that listens on all addresses takes any address as its name', async () => {
    const { ask } = await start({ host: '0.0.0.0' });
    expect((await ask('/api/v1/pods', { headers: { host: '10.0.0.9:9847' } })).status).toBe(200);
    expect((await ask('/api/v1/pods', { headers: { host: 'evil.example' } })).status).toBe(403);
  });
});

describe('metrics', () => {
  async function valuesOf(fixture: ServeFixture): Promise<ReadonlyMap<string, number>> {
    const { text } = await fixture.ask('/metrics');
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(
      lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
    );
  }

  test('they count what there is, what happened, and what failed', async () => {
    const fixture = await start();
    const { engine, store } = fixture;
    const id = engine.addContainer({ status: 'running' });
    await store.waitFor({ cid: id });
    await store.exec(id, { cmd: ['true'] });
    await expect(store.exec(id, { cmd: ['no-such-command'] })).rejects.toThrow();

    const values = await valuesOf(fixture);
    expect(values.get('crikit_ready')).toBe(1);
    expect(values.get('crikit_engine_up{engine="memory:1",type="memory"}')).toBe(1);
    expect(values.get('crikit_engine_age_seconds{engine="memory:1",type="memory"}')).toBe(0);
    expect(values.get('crikit_engine_lag_seconds{engine="memory:1",type="memory"}')).toBeGreaterThanOrEqual(0);
    expect(values.get('crikit_engine_connections{engine="memory:1",type="memory"}')).toBe(1);
    expect(values.get('crikit_containers{engine="memory:1",status="running",role=""}')).toBe(1);
    expect(values.get('crikit_pod_source_up{source="labels",backend="containers"}')).toBe(1);
    expect(values.get('crikit_events_total{type="container-added"}')).toBe(1);
    expect(values.get('crikit_events_total{type="container-removed"}')).toBe(0);
    expect(values.get('crikit_operation_duration_seconds_count{operation="exec",engine="memory:1"}')).toBe(2);
    expect(
      values.get('crikit_operation_errors_total{operation="exec",engine="memory:1",code="COMMAND_NOT_FOUND"}'),
    ).toBe(1);
    expect(values.get('process_resident_memory_bytes')).toBeGreaterThan(1e6);
    expect(values.get('process_cpu_seconds_total')).toBeGreaterThan(0);

    engine.goAway();
    await until(async () => {
      const later = await valuesOf(fixture);
      expect(later.get('crikit_engine_up{engine="memory:1",type="memory"}')).toBe(0);
      expect(later.get('crikit_ready')).toBe(0);
      expect(later.get('crikit_engine_age_seconds{engine="memory:1",type="memory"}')).toBeGreaterThan(0);
    });
  });
});

describe('events', () => {
  const open = async ({ server }: ServeFixture): Promise<IncomingMessage> => {
    const headers = { authorization: `Bearer ${fixtureToken}` };
    const [response] = (await once(
      get({ port: server.port, host: '127.0.0.1', path: '/api/v1/events', headers }),
      'response',
    )) as [IncomingMessage];
    return response.setEncoding('utf8');
  };

  test('they come as they happen, and without values of the environment', async () => {
    const fixture = await start();
    const response = await open(fixture);
    expect(response.headers['content-type']).toContain('text/event-stream');
    let text = '';
    response.on('data', (chunk: string) => {
      text += chunk;
    });
    await until(() => expect(text).toMatch(/^retry: 2000\n\nevent: resync\ndata: .*\n\nevent: status\ndata: .*\n\n/));
    const id = fixture.engine.addContainer({ status: 'running', env: { PASSWORD: 'hunter2' } });
    await until(() => expect(text).toMatch(new RegExp(`event: container-added\ndata: .*${id}`)));
    expect(text).toContain('PASSWORD');
    expect(text).not.toContain('hunter2');
    response.destroy();
  });

  test('a client that does not read gets a resync in place of what it missed, once it reads', async () => {
    const fixture = await start({ events: { maxWaiting: 3 } });
    const { engine, store } = fixture;
    const response = await open(fixture);
    // More than the kernel takes for it.
    const labels = { large: 'x'.repeat(400_000) };
    let made = 0;
    for (const size of [40, 1, 1]) {
      for (let each = 0; each < size; each += 1) engine.addContainer({ status: 'running', labels });
      made += size;
      await until(() => expect(store.getAllContainers({ withoutPod: true })).toHaveLength(made));
    }
    let text = '';
    response.on('data', (chunk: string) => {
      text += chunk;
    });
    // What the last resync has and what was added after it, which is all that a reader needs.
    const known = (): number => {
      const [, present = '{}', later = ''] =
        /^data: (.*)$([\s\S]*)/m.exec(text.slice(text.lastIndexOf('event: resync'))) ?? [];
      const { containers } = JSON.parse(present) as { containers: unknown[] };
      return containers.length + (later.match(/^event: container-added$/gm)?.length ?? 0);
    };
    await until(() => {
      expect(text.endsWith('\n\n')).toBe(true);
      expect(known()).toBe(42);
    });
    expect(text.match(/^event: resync$/gm)?.length).toBeGreaterThan(1);
    expect(text.match(/^event: container-added$/gm)?.length ?? 0).toBeLessThan(42);
    response.destroy();
  }, 20_000);

  test('a client that goes leaves nothing, and one too many is told to come later', async () => {
    const fixture = await start({ events: { maxReaders: 2 } });
    const readers = async (): Promise<number> => {
      const { text } = await fixture.ask('/metrics');
      return Number(/^crikit_event_readers (\d+)$/m.exec(text)?.[1]);
    };
    const one = await open(fixture);
    const two = await open(fixture);
    const three = await open(fixture);
    expect([one.statusCode, two.statusCode, three.statusCode]).toEqual([200, 200, 503]);
    expect(three.headers['content-type']).toContain('application/json');
    three.destroy();
    expect(await readers()).toBe(2);
    one.destroy();
    two.destroy();
    await until(async () => expect(await readers()).toBe(0));
    const again = await open(fixture);
    expect(again.statusCode).toBe(200);
    again.destroy();
  });

  test('the server ends them when it closes, also for a client that reads nothing, and takes no more', async () => {
    const fixture = await startServeFixture();
    const { server, engine, store } = fixture;
    const response = await open(fixture);
    response.resume();
    const ended = once(response, 'end');
    const stuck = connect(server.port, '127.0.0.1');
    stuck.on('error', () => {});
    stuck.pause();
    stuck.write(`GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${fixtureToken}\r\n\r\n`);
    // More than the kernel takes for a reader that does not read.
    const labels = { large: 'x'.repeat(1_000_000) };
    for (let each = 0; each < 20; each += 1) engine.addContainer({ status: 'running', labels });
    await until(() => expect(store.getAllContainers({ withoutPod: true })).toHaveLength(20));
    const quiet = connect(server.port, '127.0.0.1');
    quiet.on('error', () => {});
    await once(quiet, 'connect');

    await server.close();

    await ended;
    await expect(fixture.ask('/healthz')).rejects.toThrow(/ECONNREFUSED/);
    stuck.destroy();
    quiet.destroy();
    await store.close();
  });
});
