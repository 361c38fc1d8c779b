/** The checks of the machine: what can be told without planting a fault in the machine itself. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkAgent } from './check-agent.js';
import { checkCgroup } from './check-cgroup.js';
import { describeNamespaces } from './check-containerd-namespaces.js';
import { contextOf, idsOf } from './check-context-in-test.js';
import { checkFifoDirectory } from './check-fifo-directory.js';
import { checkHostRoot } from './check-host-root.js';
import { checkNode } from './check-node.js';
import { checkNsenter } from './check-nsenter.js';
import { checkProc } from './check-proc.js';
import { repeatedFieldOne } from './containerd-request.js';
import { findMountAt } from './read-mountinfo.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crikit-doctor-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test.each([
  ['18.20.0', 'failure node-too-old'],
  ['20.18.3', 'failure node-too-old'],
  ['20.19.0', 'ok node-supported'],
  ['22.1.0', 'ok node-supported'],
])('Node %s is %s', (version, id) => {
  expect(idsOf(checkNode(version))).toEqual([id]);
});

describe('the host root', () => {
  test('is missing where there is nothing, or no directory', () => {
    expect(idsOf(checkHostRoot(contextOf({ hostRoot: join(directory, 'none') })))).toEqual([
      'failure host-root-missing',
    ]);
    writeFileSync(join(directory, 'file'), '');
    const found = checkHostRoot(contextOf({ hostRoot: join(directory, 'file') }));
    expect(found.findings[0]?.message).toContain('is not a directory');
  });

  test('is incomplete where its /proc shows nothing', () => {
    mkdirSync(join(directory, 'proc'));
    expect(idsOf(checkHostRoot(contextOf({ hostRoot: directory })))).toEqual(['failure host-root-incomplete']);
  });

  test('is seen where it is the root itself, by another name', () => {
    expect(idsOf(checkHostRoot(contextOf({ hostRoot: '/proc/self/root' })))).toContain('ok host-root-seen');
  });
});

test('a mount is found by its place; the last one counts, and escapes are undone', () => {
  const mountinfo = [
    '40 22 0:30 / /host\\040fs rw,nosuid - ext4 /dev/a rw',
    '41 22 0:31 / /host\\040fs rw shared:2 master:1 - proc proc rw,hidepid=2',
  ].join('\n');
  expect(findMountAt('/host fs', mountinfo)).toEqual({
    mountPoint: '/host fs',
    fileSystem: 'proc',
    options: ['rw', 'rw', 'hidepid=2'],
    isPropagated: true,
  });
  expect(findMountAt('/hostfs', mountinfo)).toBeUndefined();
});

test('processes and control groups are not told where there are none', () => {
  const context = contextOf({ hostRoot: directory });
  expect(idsOf(checkProc(context))).toEqual(['failure proc-unreadable']);
  mkdirSync(join(directory, 'proc'));
  expect(checkProc(context).findings[0]?.message).toContain('no process');
  expect(idsOf(checkCgroup(context))).toEqual(['warning cgroup-unknown']);
  expect(checkCgroup(contextOf()).findings[0]).toMatchObject({
    id: 'cgroup-known',
    message: expect.stringMatching(/^Control groups v[12], /),
  });
});

test('nsenter is missing where PATH has none, and is refused with what it says', async () => {
  expect(idsOf(await checkNsenter(contextOf({}, { PATH: directory })))).toEqual(['warning nsenter-missing']);
  writeFileSync(join(directory, 'nsenter'), '#!/bin/sh\necho "Operation not permitted" >&2\nexit 1\n');
  chmodSync(join(directory, 'nsenter'), 0o755);
  const refused = await checkNsenter(contextOf({}, { PATH: directory }));
  expect(idsOf(refused)).toEqual(['warning nsenter-not-permitted']);
  expect(refused.findings[0]?.message).toContain('Operation not permitted');
});

describe('the directory for the pipes of execs', () => {
  const check = (socketPath: string, path = process.env.PATH) =>
    idsOf(checkFifoDirectory(socketPath, contextOf({}, { PATH: path })));

  test('is usable where it can be made, and wants mkfifo', () => {
    expect(check(join(directory, 'new', 'containerd.sock'))).toEqual(['ok fifo-directory-usable']);
    expect(check(join(directory, 'containerd.sock'), directory)).toEqual(['warning mkfifo-missing']);
  });

  test('is not usable where a file is in its place', () => {
    writeFileSync(join(directory, 'fifo'), '');
    expect(check(join(directory, 'containerd.sock'))).toEqual(['warning fifo-directory-unusable']);
  });
});

describe('the namespaces of containerd', () => {
  const describeCounts = (namespaces: readonly string[], counts: Record<string, number>) => {
    const { id, severity, remedy } = describeNamespaces('/c.sock', namespaces, new Map(Object.entries(counts)));
    return [`${severity} ${id}`, remedy ?? ''];
  };

  test('are right where no other has containers but Docker’s', () => {
    expect(describeCounts(['k8s.io'], { 'k8s.io': 3, moby: 5, empty: 0 })[0]).toBe('ok containerd-namespaces-right');
    expect(describeCounts(['k8s.io'], {})[0]).toBe('ok containerd-namespaces-right');
  });

  test('are wrong where the containers are elsewhere, with the option that helps', () => {
    const [id, remedy] = describeCounts(['k8s.io'], { 'k8s.io': 0, default: 2 });
    expect(id).toBe('failure containerd-namespace-wrong');
    expect(remedy).toContain('--containerd-namespace k8s.io --containerd-namespace default');
  });

  test('are a warning where some are elsewhere', () => {
    expect(describeCounts(['k8s.io'], { 'k8s.io': 1, default: 2 })[0]).toBe('warning containerd-namespace-other');
    expect(describeCounts(['k8s.io', 'default'], { 'k8s.io': 1, default: 2 })[0]).toBe(
      'ok containerd-namespaces-right',
    );
  });

  test('are read from messages of any fields, and cut ones are refused', () => {
    const message = Buffer.concat([
      Buffer.from([0x10, 0x96, 0x01]), // field 2, a number
      Buffer.from([0x0a, 0x03]),
      Buffer.from('abc'),
      Buffer.from([0x19, 1, 2, 3, 4, 5, 6, 7, 8]), // field 3, eight bytes
      Buffer.from([0x22, 0x01, 0x00]), // field 4, bytes
      Buffer.from([0x0a, 0x80, 0x01]),
      Buffer.alloc(128, 'x'),
    ]);
    expect(repeatedFieldOne(message).map((value) => value.length)).toEqual([3, 128]);
    for (const length of [1, 2, 4, 6, 12, 19, message.length - 1]) {
      expect(() => repeatedFieldOne(message.subarray(0, length))).toThrow('too early');
    }
  });
});

describe('the agent', () => {
  const askAgent = async (status: number, body: string, token?: string) => {
    const asked: (string | undefined)[] = [];
    const server = createHttpServer((request, response) => {
      asked.push(`${request.url} ${request.headers.authorization}`);
      response.writeHead(status, { 'content-type': 'application/json' }).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const agent = { url, ...(token === undefined ? {} : { token }) };
    const result = await checkAgent(contextOf({ agent }));
    server.close();
    return { result, asked };
  };
  const diagnosis = { schemaVersion: 1, verdict: 'live: docker', severity: 'ok', timeMs: 1, findings: [] };

  test('is asked with the token, and its diagnosis is handed on', async () => {
    const { result, asked } = await askAgent(200, JSON.stringify(diagnosis), 'secret');
    expect(asked).toEqual(['/api/v1/diagnosis Bearer secret']);
    expect(result).toEqual({ diagnosis, findings: [expect.objectContaining({ id: 'agent-well', severity: 'ok' })] });
  });

  test('that is troubled is as bad as it says', async () => {
    const { result } = await askAgent(200, JSON.stringify({ ...diagnosis, severity: 'warning' }));
    expect(idsOf(result)).toEqual(['warning agent-troubled']);
  });

  test.each([
    [401, '{"message":"who are you?"}', 'agent-refused', 'who are you?'],
    [404, 'nothing', 'agent-unreachable', '404'],
    [200, '{"schemaVersion":2}', 'agent-unreachable', 'no agent that this version knows'],
  ])('that answers %i %s is %s', async (status, body, id, message) => {
    const { result } = await askAgent(status, body);
    expect(result.findings).toEqual([expect.objectContaining({ id, message: expect.stringContaining(message) })]);
    expect(result).not.toHaveProperty('diagnosis');
  });

  test('that is not there is told', async () => {
    const found = await checkAgent(contextOf({ agent: { url: 'http://127.0.0.1:1' } }));
    expect(idsOf(found)).toEqual(['failure agent-unreachable']);
  });
});
