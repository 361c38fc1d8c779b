import { rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type EngineDefinition, type ProbeAttempt, type ProbeReport, registerEngine } from '@crikit/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { contextOf, idsOf } from './check-context-in-test.js';
import { checkEngine } from './check-engine.js';

let directory: string;
/** A package that brings nothing: the definitions of these tests are registered by the tests. */
let specifier: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'crikit-doctor-'));
  await writeFile(join(directory, 'empty.mjs'), '');
  specifier = pathToFileURL(join(directory, 'empty.mjs')).href;
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let made = 0;

/** A third party's package whose probe reports this. */
function makePackage(report: Partial<ProbeReport>, definition: Partial<EngineDefinition> = {}) {
  made += 1;
  const name = `acme-engine-${made}`;
  registerEngine({
    contractVersion: 1,
    type: `acme${made}`,
    packageName: name,
    packageVersion: '1.0.0',
    possibleFeatures: [],
    probe: async () => ({ status: 'failed', attempts: [], ...report }),
    connect: () => Promise.reject(new Error('not asked for')),
    ...definition,
  });
  return { name, specifier };
}

function attempt(given: Partial<ProbeAttempt>): ProbeAttempt {
  const endpoint = '/run/acme.sock';
  return { endpoint, origin: 'well-known', step: 'connect', outcome: 'failed', message: `${endpoint}: no.`, ...given };
}

const look = (report: Partial<ProbeReport>, settings = {}) => checkEngine(makePackage(report), contextOf(settings));

describe('the check of an engine', () => {
  test.each([
    ['ENOTSOCK', 'socket-not-a-socket'],
    ['EACCES', 'socket-no-right'],
    ['EPERM', 'socket-no-right'],
    ['ECONNREFUSED', 'daemon-stopped'],
    ['TIMEOUT', 'daemon-hung'],
    ['TOO_OLD', 'daemon-unusable'],
    ['ECONNRESET', 'daemon-unusable'],
  ])('makes %s of an attempt a %s with a remedy', async (code, id) => {
    const found = await look({ attempts: [attempt({ code })] });
    expect(found.findings).toEqual([
      expect.objectContaining({ id, severity: 'failure', subject: '/run/acme.sock', remedy: expect.any(String) }),
    ]);
  });

  test('keeps the remedy that the engine gives', async () => {
    const found = await look({ attempts: [attempt({ code: 'TOO_OLD', remedy: 'Use Acme 2.' })] });
    expect(found.findings[0]?.remedy).toBe('Use Acme 2.');
  });

  test('says who owns a socket that may not be opened', async () => {
    const endpoint = join(directory, 'closed.sock');
    const server = createServer().listen(endpoint);
    const found = await look({ attempts: [attempt({ code: 'EACCES', endpoint })] });
    server.close();
    expect(found.findings[0]?.message).toMatch(
      /belongs to uid \d+ and group \w+ \(mode \d+\); this process is uid \d+/,
    );
  });

  test('finds no failure where nothing of the engine is on the node', async () => {
    const found = await look({ status: 'not-applicable', attempts: [attempt({ outcome: 'absent', code: 'ENOENT' })] });
    expect(idsOf(found)).toEqual(['ok engine-absent']);
    expect(found.findings[0]?.message).toContain('/run/acme.sock');
    expect(found.engines).toEqual([expect.objectContaining({ endpoints: [] })]);
  });

  test('finds a missing socket that was named, or whose engine was asked for', async () => {
    const absent = attempt({ outcome: 'absent', code: 'ENOENT', origin: 'environment' });
    expect(idsOf(await look({ attempts: [absent] }))).toEqual(['failure socket-missing']);
    const wanted = makePackage({ status: 'not-applicable', attempts: [{ ...absent, origin: 'well-known' }] });
    const context = contextOf({ engineTypes: [`acme${made}`] });
    expect(idsOf(await checkEngine(wanted, context))).toEqual(['failure socket-missing']);
  });

  test('gives where a daemon answers, and lets other endpoints of that engine be dispensable', async () => {
    const found = await look({
      status: 'available',
      version: '2.1',
      attempts: [
        attempt({ outcome: 'ok', step: 'done', message: '/run/acme.sock: Acme 2.1.' }),
        attempt({ endpoint: '/run/old.sock', code: 'ECONNREFUSED' }),
      ],
    });
    expect(idsOf(found)).toEqual(['ok engine-answers', 'failure daemon-stopped']);
    expect(found.findings[1]?.isDispensable).toBe(true);
    expect(found.engines).toEqual([
      expect.objectContaining({ packageVersion: '1.0.0', endpoints: ['/run/acme.sock'] }),
    ]);
  });

  test('holds a named endpoint that fails for indispensable', async () => {
    const found = await look({ attempts: [attempt({ code: 'ECONNREFUSED', origin: 'environment' })] });
    expect(found.findings[0]?.isDispensable).toBe(false);
  });

  test.each([
    ['failed', 'failure daemon-unusable'],
    ['available', 'ok engine-answers'],
    ['not-applicable', 'ok engine-absent'],
  ] as const)('says of an engine that is %s and tells of no attempt what it can', async (status, id) => {
    expect(idsOf(await look({ status }))).toEqual([id]);
  });

  test('tells of a package that cannot be loaded, or is made for another contract', async () => {
    const broken = await checkEngine({ name: 'acme', specifier: join(directory, 'none.mjs') }, contextOf());
    expect(idsOf(broken)).toEqual(['failure engine-package-broken']);
    await writeFile(join(directory, 'throws.mjs'), 'throw new Error("no such licence");');
    const throwing = await checkEngine(
      { name: 'acme', specifier: pathToFileURL(join(directory, 'throws.mjs')).href },
      contextOf(),
    );
    expect(throwing.findings[0]?.message).toContain('no such licence');
    const old = await checkEngine(makePackage({}, { contractVersion: 0 }), contextOf());
    expect(idsOf(old)).toEqual(['failure engine-package-outdated']);
    expect(old.findings[0]?.remedy).toMatch(/^Update acme-engine-/);
  });

  test('looks only at the types that are asked for', async () => {
    const found = await look({ status: 'available' }, { engineTypes: ['docker'] });
    expect(found).toEqual({ findings: [], engines: [] });
  });
});
