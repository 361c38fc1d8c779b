/** The doctor as people run it, where no engine is needed: Kubernetes, third parties' packages, what hangs. */
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createFakeApiServer, createFakeKubelet } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { CheckSettings } from '../src/doctor/check-settings.js';
import type { DoctorReport } from '../src/doctor/doctor-report.js';
import { objectionsToReport } from '../src/doctor/read-guide-in-test.js';
import { examine } from '../src/doctor/run-doctor.js';
import { runCrikitProcess } from './crikit-process.js';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'crikit-doctor-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const doctor = async (words: readonly string[], environment: NodeJS.ProcessEnv = {}) => {
  // More time than is enough on a quiet machine; the last one counts.
  const { exitCode, stdout, stderr } = await runCrikitProcess(
    ['doctor', '--timeout', '8', ...words, '-o', 'json'],
    environment,
  );
  expect(stderr).toBe('');
  const report = JSON.parse(Buffer.from(stdout, 'latin1').toString('utf8')) as DoctorReport;
  expect(objectionsToReport(report)).toEqual([]);
  expect(exitCode).toBe(report.severity === 'failure' ? 1 : 0);
  return report;
};
const find = (report: DoctorReport, id: string) => report.findings.find((finding) => finding.id === id);

describe('the doctor', () => {
  test('finds a socket that was named and is not there', async () => {
    const path = join(folder, 'nothing.sock');
    const report = await doctor(['--engine', 'docker'], { DOCKER_HOST: `unix://${path}` });
    expect(find(report, 'socket-missing')).toMatchObject({
      check: 'engine',
      severity: 'failure',
      subject: path,
      remedy: expect.stringContaining('Start docker'),
    });
    expect(report.verdict).toContain(`${path} does not exist`);
  });

  test('finds that no engine is on the node, and that the host root is none', async () => {
    const report = await doctor(['--host-root', folder]);
    expect(find(report, 'no-engine')?.remedy).toContain('--engine-package');
    expect(find(report, 'host-root-incomplete')?.severity).toBe('failure');
    expect(report.findings.filter(({ id }) => id === 'engine-absent').map(({ subject }) => subject)).toEqual([
      'docker',
      'containerd',
      'podman',
      'pouch',
    ]);
  });

  test('prints the same as text, as YAML and as ids', async () => {
    const environment = { DOCKER_HOST: `unix://${folder}/nothing.sock` };
    const run = (...words: string[]) => runCrikitProcess(['doctor', '--engine', 'docker', ...words], environment);
    const text = await run();
    expect(text.exitCode).toBe(1);
    expect(text.stdout).toMatch(/^failure .*nothing\.sock does not exist/);
    expect(text.stdout).toContain('socket-missing');
    expect(Buffer.from(text.stdout, 'latin1').toString()).toContain('→ Start docker');
    expect(objectionsToReport(parse((await run('-o', 'yaml')).stdout))).toEqual([]);
    expect((await run('-o', 'name')).stdout.split('\n')).toContain('socket-missing');
  });
});

describe('an engine package of a third party', () => {
  const core = fileURLToPath(import.meta.resolve('@crikit/core'));
  const writePackage = (name: string, probe: string, before = ''): string => {
    const path = join(folder, `${name}.mjs`);
    writeFileSync(
      path,
      `import { registerEngine } from ${JSON.stringify(core)};
${before}
registerEngine({ contractVersion: 1, type: '${name}', packageName: 'acme-${name}', packageVersion: '1.2.3',
  possibleFeatures: [], connect: () => Promise.reject(new Error('no')), async probe() { ${probe} } });`,
    );
    return path;
  };
  const words = (path: string, type: string) => ['--engine-package', path, '--engine', type];

  test('is looked at like ours', async () => {
    const path = writePackage(
      'acme',
      `return { status: 'failed', attempts: [{ endpoint: '/run/acme.sock', origin: 'well-known', step: 'version',
         outcome: 'failed', code: 'TOO_OLD', message: 'Acme 1 is too old.', remedy: 'Use Acme 2.' }] };`,
    );
    const report = await doctor(words(path, 'acme'));
    expect(find(report, 'daemon-unusable')).toMatchObject({ message: 'Acme 1 is too old.', remedy: 'Use Acme 2.' });
  });

  test.each([
    ['never answers', 'await new Promise(() => setInterval(() => {}, 1000));'],
    ['blocks its process', 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);'],
  ])('that %s is killed when its time is over; the other checks are made', async (_, probe) => {
    const path = writePackage('sleepy', probe);
    const report = await doctor([...words(path, 'sleepy'), '--timeout', '1']);
    expect(find(report, 'check-timed-out')).toMatchObject({
      check: 'engine',
      subject: path,
      remedy: expect.stringContaining('hangs'),
    });
    const run = report.checks.find(({ outcome }) => outcome === 'timed-out');
    expect(run?.durationMs).toBeGreaterThanOrEqual(990);
    expect(report.checks.some(({ check, outcome }) => check === 'node' && outcome === 'done')).toBe(true);
  });

  test('that takes its process down is told, with its last words', async () => {
    const path = writePackage(
      'rash',
      `setImmediate(() => { throw new RangeError('far out'); }); await new Promise(() => {});`,
    );
    expect(find(await doctor(words(path, 'rash')), 'check-crashed')).toMatchObject({
      severity: 'failure',
      subject: path,
      message: expect.stringContaining('RangeError: far out'),
    });
  });

  test('that cannot be loaded is told', async () => {
    const path = writePackage('broken', '', `throw new Error('no licence');`);
    const report = await doctor(words(path, 'broken'));
    expect(find(report, 'engine-package-broken')?.message).toContain('no licence');
    expect(find(report, 'engine-not-installed')?.subject).toBe('broken');
  });
});

describe('in a cluster', () => {
  const fixture = (name: string): string =>
    readFileSync(join(import.meta.dirname, '../../metastore/src/__fixtures__', name), 'utf8');
  const tls = { key: fixture('loopback-key.pem'), cert: fixture('loopback-certificate.pem') };
  let apiServer: Awaited<ReturnType<typeof createFakeApiServer>>;
  let kubelet: Awaited<ReturnType<typeof createFakeKubelet>>;
  beforeAll(async () => {
    writeFileSync(join(folder, 'token'), 'secret');
    writeFileSync(join(folder, 'ca.crt'), tls.cert);
    apiServer = await createFakeApiServer({ tls, tokens: ['secret'] });
    apiServer.put('pods', { metadata: { name: 'web-0', namespace: 'shop' }, spec: { nodeName: 'node-1' } });
    kubelet = await createFakeKubelet({ tls, tokens: ['another'] });
  });
  afterAll(async () => {
    await apiServer?.[Symbol.asyncDispose]();
    await kubelet?.[Symbol.asyncDispose]();
  });

  const examineNode = (settings: Partial<CheckSettings> = {}, limitMs = 10_000) =>
    examine({
      settings: {
        hostRoot: '/',
        engineTypes: [],
        containerdNamespaces: [],
        pods: 'auto',
        nodeName: 'node-1',
        kubelet: { url: kubelet.url },
        serviceAccountDirectory: folder,
        ...settings,
      },
      enginePackages: [],
      environment: {
        ...process.env,
        KUBERNETES_SERVICE_HOST: '127.0.0.1',
        KUBERNETES_SERVICE_PORT: String(apiServer.port),
      },
      limitMs,
      signal: new AbortController().signal,
      programPath: fileURLToPath(new URL('../dist/doctor-check-process.js', import.meta.url)),
    });

  test('finds a 403 of the API server and a 401 of the kubelet, each with the remedy', async () => {
    apiServer.setFault(({ path }) => (path === '/api/v1/pods' ? { kind: 'status', status: 403 } : undefined));
    const report = await examineNode();
    expect(find(report, 'api-server-forbidden')).toMatchObject({
      severity: 'failure',
      remedy: expect.stringContaining('ClusterRole'),
    });
    expect(find(report, 'kubelet-unauthorized')).toMatchObject({
      severity: 'warning',
      remedy: expect.stringContaining('token'),
    });
    expect(find(report, 'clock-right')).toBeDefined();
    expect(find(await examineNode({ pods: 'kubelet' }), 'kubelet-unauthorized')?.severity).toBe('failure');
  });

  test('finds that the clocks differ', async () => {
    const server = createServer((_, response) => {
      response.setHeader('date', new Date(Date.now() - 45_000).toUTCString());
      response.end('{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[]}');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const report = await examineNode({ pods: 'kubelet', kubelet: { url } });
    server.close();
    expect(find(report, 'clock-skewed')).toMatchObject({
      check: 'clock',
      severity: 'warning',
      message: expect.stringMatching(/clock is 4[456] s ahead of that of the kubelet/),
      remedy: expect.stringContaining('NTP'),
    });
    expect(find(report, 'kubelet-serves')).toBeDefined();
  });

  test('waits no longer than its time for servers that hang', async () => {
    apiServer.setFault(() => ({ kind: 'hang' }));
    kubelet.setFault(() => ({ kind: 'hang' }));
    const startMs = performance.now();
    const report = await examineNode({}, 1_000);
    expect(performance.now() - startMs).toBeLessThan(30_000);
    for (const { durationMs } of report.checks) expect(durationMs).toBeLessThan(5_000);
    const ids = report.findings.map(({ id }) => id);
    expect(ids.filter((id) => id === 'api-server-unreachable' || id === 'check-timed-out').length).toBeGreaterThan(0);
  });
});
