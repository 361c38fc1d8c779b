import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createFakeApiServer,
  createFakeKubelet,
  type FakeApiServer,
  type FakeKubelet,
} from '@crikit/engine-conformance';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkApiServer } from './check-api-server.js';
import { checkClock } from './check-clock.js';
import { contextOf, idsOf } from './check-context-in-test.js';
import { checkKubeconfig } from './check-kubeconfig.js';
import { checkKubelet } from './check-kubelet.js';
import type { CheckContext } from './check-task.js';

const fixture = (name: string): string =>
  readFileSync(join(import.meta.dirname, '../../../metastore/src/__fixtures__', name), 'utf8');
const tls = { key: fixture('loopback-key.pem'), cert: fixture('loopback-certificate.pem') };

let serviceAccountDirectory: string;
const closing: (() => unknown)[] = [];

beforeEach(() => {
  serviceAccountDirectory = mkdtempSync(join(tmpdir(), 'crikit-doctor-'));
  writeFileSync(join(serviceAccountDirectory, 'token'), 'secret\n');
  writeFileSync(join(serviceAccountDirectory, 'ca.crt'), tls.cert);
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  rmSync(serviceAccountDirectory, { recursive: true, force: true });
});

async function startApiServer(): Promise<FakeApiServer> {
  const server = await createFakeApiServer({ tls, tokens: ['secret'] });
  closing.push(() => server[Symbol.asyncDispose]());
  server.put('nodes', { metadata: { name: 'node-1' } });
  server.put('pods', { metadata: { name: 'web-0', namespace: 'shop' }, spec: { nodeName: 'node-1' } });
  return server;
}

async function startKubelet(options: Parameters<typeof createFakeKubelet>[0] = {}): Promise<FakeKubelet> {
  const kubelet = await createFakeKubelet({ tls, tokens: ['secret'], ...options });
  closing.push(() => kubelet[Symbol.asyncDispose]());
  return kubelet;
}

function inCluster(port: number, settings: Partial<CheckContext['settings']> = {}, environment = {}): CheckContext {
  return contextOf(
    { serviceAccountDirectory, nodeName: 'node-1', ...settings },
    { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(port), ...environment },
  );
}

interface Rights {
  readonly denied?: readonly string[];
  /** Of the server's clock. */
  readonly aheadMs?: number;
  /** Status of what is no review. */
  readonly status?: number;
}

/** Answers reviews of access, and everything else with an empty list; its clock is its own. */
async function startReviewer({ denied = [], aheadMs = 0, status = 200 }: Rights): Promise<number> {
  const server: Server = createServer(tls, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      response.setHeader('date', new Date(Date.now() + aheadMs).toUTCString());
      if (request.method !== 'POST') {
        response.writeHead(status).end('{"kind":"PodList","items":[{}]}');
        return;
      }
      const { spec } = JSON.parse(Buffer.concat(chunks).toString()) as {
        spec: { resourceAttributes: { verb: string; resource: string; subresource?: string } };
      };
      const { verb, resource, subresource } = spec.resourceAttributes;
      const right = `${verb} ${resource}${subresource === undefined ? '' : `/${subresource}`}`;
      response.writeHead(201).end(JSON.stringify({ status: { allowed: !denied.includes(right) } }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

describe('the check of the API server', () => {
  test('finds that it serves', async () => {
    const server = await startApiServer();
    expect(idsOf(await checkApiServer(inCluster(server.port)))).toEqual(['ok api-server-serves']);
  });

  test.each([
    [403, 'api-server-forbidden', 'ClusterRole'],
    [401, 'api-server-unauthorized', 'token'],
    [503, 'api-server-failing', 'log'],
  ])('finds a %i for pods', async (status, id, remedy) => {
    const server = await startApiServer();
    server.setFault(({ path }) => (path === '/api/v1/pods' ? { kind: 'status', status } : undefined));
    const found = await checkApiServer(inCluster(server.port));
    expect(idsOf(found)).toEqual([`failure ${id}`]);
    expect(found.findings[0]).toMatchObject({
      message: expect.stringContaining(String(status)),
      remedy: expect.stringContaining(remedy),
    });
  });

  test('names the rights that are missing, of pods as a failure, of nodes as a warning', async () => {
    const port = await startReviewer({ denied: ['watch pods', 'get nodes', 'watch nodes'] });
    const found = await checkApiServer(inCluster(port));
    expect(idsOf(found)).toEqual(['failure api-server-forbidden', 'warning node-right-missing']);
    expect(found.findings[0]?.message).toContain('may not watch pods');
    expect(found.findings[1]?.message).toContain('may not get, watch nodes');
  });

  test('finds a server that is away, and a certificate that another CA signed', async () => {
    const server = await startApiServer();
    await server.goAway();
    const away = await checkApiServer(inCluster(server.port));
    expect(idsOf(away)).toEqual(['failure api-server-unreachable']);
    expect(away.findings[0]?.message).toContain('ECONNREFUSED');
    await server.comeBack();
    writeFileSync(join(serviceAccountDirectory, 'ca.crt'), '');
    expect(idsOf(await checkApiServer(inCluster(server.port)))).toEqual(['failure api-server-no-credentials']);
    const { rootCertificates } = await import('node:tls');
    writeFileSync(join(serviceAccountDirectory, 'ca.crt'), rootCertificates[0] ?? '');
    expect(idsOf(await checkApiServer(inCluster(server.port)))).toEqual(['failure api-server-untrusted']);
  });

  test('gives up on a server that hangs when its time is over', async () => {
    const server = await startApiServer();
    server.setFault(() => ({ kind: 'hang' }));
    const late = Object.assign(new Error('no answer in time'), { code: 'TIMEOUT' });
    const limit = new AbortController();
    const found = checkApiServer({ ...inCluster(server.port), signal: limit.signal });
    await server.seen(({ path }) => path === '/api/v1/pods');
    limit.abort(late);
    expect((await found).findings[0]).toMatchObject({
      id: 'api-server-unreachable',
      message: expect.stringContaining('no answer in time'),
    });
  });

  test('finds a name of the node that is wrong, or not known', async () => {
    const server = await startApiServer();
    expect(idsOf(await checkApiServer(inCluster(server.port, { nodeName: 'node-2' })))).toEqual([
      'failure node-name-wrong',
    ]);
    const { nodeName: _, ...settings } = inCluster(server.port).settings;
    const context = { ...inCluster(server.port), settings };
    expect(idsOf(await checkApiServer(context))).toEqual(['failure node-name-unknown']);
    const claims = Buffer.from(JSON.stringify({ 'kubernetes.io': { node: { name: 'node-1' } } })).toString('base64url');
    writeFileSync(join(serviceAccountDirectory, 'token'), `x.${claims}.x`);
    server.setTokens(undefined);
    expect(idsOf(await checkApiServer(context))).toEqual(['ok api-server-serves']);
  });

  test('outside of a pod says so', async () => {
    expect(idsOf(await checkApiServer(contextOf({ pods: 'api-server' })))).toEqual(['failure api-server-not-here']);
  });
});

describe('the check of the kubelet', () => {
  test('finds that it serves, by name and by its read-only port', async () => {
    const kubelet = await startKubelet();
    const settings = { serviceAccountDirectory, kubelet: { url: kubelet.url } };
    expect(idsOf(await checkKubelet(contextOf(settings)))).toEqual(['ok kubelet-serves']);
    const plain = await createFakeKubelet();
    closing.push(() => plain[Symbol.asyncDispose]());
    const found = await checkKubelet(contextOf({ kubelet: { url: plain.url } }));
    expect(found.findings[0]?.message).toContain('read-only port');
  });

  test('finds a 401, with and without a token; a failure only where the kubelet is what was asked for', async () => {
    const kubelet = await startKubelet({ tokens: ['another'] });
    const settings = { serviceAccountDirectory, kubelet: { url: kubelet.url } };
    const refused = await checkKubelet(contextOf({ ...settings, pods: 'kubelet' }));
    expect(idsOf(refused)).toEqual(['failure kubelet-unauthorized']);
    expect(refused.findings[0]?.remedy).toContain('authentication.webhook');
    expect(idsOf(await checkKubelet(contextOf(settings)))).toEqual(['warning kubelet-unauthorized']);
    rmSync(join(serviceAccountDirectory, 'token'));
    const anonymous = await checkKubelet(contextOf(settings));
    expect(anonymous.findings[0]?.message).toContain('no token was shown');
  });

  test('finds a 403, and what the API server says of the rights', async () => {
    const kubelet = await startKubelet();
    kubelet.setFault(() => ({ kind: 'status', status: 403 }));
    const port = await startReviewer({ denied: ['get nodes/pods'] });
    const found = await checkKubelet(inCluster(port, { kubelet: { url: kubelet.url } }));
    expect(idsOf(found)).toEqual(['warning kubelet-forbidden']);
    expect(found.findings[0]?.message).toContain('nodes/pods is not allowed, on nodes/proxy allowed');
  });

  test('finds one that is away, one that is not trusted, one that fails, and files that are missing', async () => {
    const kubelet = await startKubelet();
    const settings = { serviceAccountDirectory, pods: 'kubelet' as const };
    const check = async (more: object) =>
      idsOf(await checkKubelet(contextOf({ ...settings, kubelet: { url: kubelet.url, ...more } })));
    rmSync(join(serviceAccountDirectory, 'ca.crt'));
    expect(await check({})).toEqual(['failure kubelet-untrusted']);
    expect(await check({ insecure: true })).toEqual(['ok kubelet-serves']);
    expect(await check({ caFile: '/nonexistent' })).toEqual(['failure kubelet-no-credentials']);
    kubelet.setFault(() => ({ kind: 'status', status: 500 }));
    expect(await check({ insecure: true })).toEqual(['failure kubelet-failing']);
    await kubelet.goAway();
    expect(await check({ insecure: true })).toEqual(['failure kubelet-unreachable']);
  });
});

describe('the check of the clock', () => {
  test.each([
    [0, 'ok clock-right', 'agrees'],
    [30_000, 'warning clock-skewed', '30 s behind'],
    [-30_000, 'warning clock-skewed', '30 s ahead of'],
    [300_000, 'failure clock-skewed', 'tokens and certificates may be refused'],
  ])('of a server that is %i ms ahead', async (aheadMs, id, message) => {
    const port = await startReviewer({ aheadMs });
    const found = await checkClock([], inCluster(port, { pods: 'api-server' }));
    expect(idsOf(found)).toEqual([id]);
    expect(found.findings[0]?.message).toContain(message);
  });

  test('is made by any answer, also of a server that refuses', async () => {
    const port = await startReviewer({ aheadMs: 30_000, status: 401 });
    expect(idsOf(await checkClock([], inCluster(port, { pods: 'api-server' })))).toEqual(['warning clock-skewed']);
  });

  test('is made with the kubelet and with daemons on other machines too', async () => {
    const daemon = createHttpServer((_, response) => {
      response.setHeader('date', new Date(Date.now() - 30_000).toUTCString());
      response.end('OK');
    });
    await new Promise<void>((resolve) => daemon.listen(0, '127.0.0.1', resolve));
    closing.push(() => daemon.close());
    const { port } = daemon.address() as AddressInfo;
    const kubelet = await startKubelet();
    const context = contextOf({ pods: 'kubelet', serviceAccountDirectory, kubelet: { url: kubelet.url } });
    expect(idsOf(await checkClock([`tcp://127.0.0.1:${port}`], context))).toEqual([
      'ok clock-right',
      'warning clock-skewed',
    ]);
  });

  test('says when there is nothing to compare with', async () => {
    expect(idsOf(await checkClock([], contextOf()))).toEqual(['ok clock-unknown']);
    expect(idsOf(await checkClock([], inCluster(1, { pods: 'api-server' })))).toEqual(['ok clock-unknown']);
  });
});

// The client for kubeconfigs is large; loading it takes its time on a busy machine.
describe('the check of a kubeconfig', { timeout: 60_000 }, () => {
  const writeKubeconfig = (server: string): string => {
    const path = join(serviceAccountDirectory, 'kubeconfig');
    writeFileSync(
      path,
      JSON.stringify({
        'current-context': 'here',
        contexts: [{ name: 'here', context: { cluster: 'here', user: 'me' } }],
        clusters: [
          { name: 'here', cluster: { server, 'certificate-authority': join(serviceAccountDirectory, 'ca.crt') } },
        ],
        users: [{ name: 'me', user: { token: 'secret' } }],
      }),
    );
    return path;
  };

  test('finds that its server serves, refuses, or is away', async () => {
    const server = await startApiServer();
    const context = contextOf({ pods: 'kubeconfig', nodeName: 'node-1', kubeconfig: writeKubeconfig(server.url) });
    expect(idsOf(await checkKubeconfig(context))).toEqual(['ok kubeconfig-serves']);
    server.setFault(() => ({ kind: 'status', status: 403 }));
    const refused = await checkKubeconfig(context);
    expect(idsOf(refused)).toEqual(['failure kubeconfig-failing']);
    expect(refused.findings[0]).toMatchObject({
      message: expect.stringContaining('403'),
      remedy: expect.stringContaining('list'),
    });
    await server.goAway();
    expect((await checkKubeconfig(context)).findings[0]?.message).toContain('ECONNREFUSED');
  });

  test('finds a file or a name that is missing', async () => {
    const missing = await checkKubeconfig(contextOf({ nodeName: 'node-1', kubeconfig: '/nonexistent' }));
    expect(missing.findings[0]).toMatchObject({
      id: 'kubeconfig-failing',
      remedy: expect.stringContaining('kubeconfig'),
    });
    expect((await checkKubeconfig(contextOf({}))).findings[0]?.remedy).toContain('--node-name');
  });
});
