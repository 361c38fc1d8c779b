import { randomUUID } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Container, listProcesses, openContainerRoot, openRootOfContainer, UnsupportedError } from '@crikit/core';
import { docker } from '@crikit/engine-docker';
import { afterEach, expect, test, vi } from 'vitest';
import { IMAGES, removeContainer, runContainer } from '../../../tools/lab/lab.mjs';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { hostnameEnricher } from '../src/enrich-hostname.js';
import { timeZoneEnricher } from '../src/enrich-time-zone.js';
import type { EnricherContext } from '../src/enricher.js';
import { createMetaStore, type EnrichmentChoice, type MetaStore, type MetaStoreEvent } from '../src/index.js';

const cleanUps: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

describeWithDocker('enrichment on dockerd', ({ socketPath }) => {
  const mark = `enrich-${randomUUID().slice(0, 8)}`;
  let made = 0;

  async function run(options: Parameters<typeof runContainer>[1] = {}): Promise<{ id: string; pid: number }> {
    made += 1;
    const container = await runContainer(socketPath, { name: `${mark}-${made}`, ...options });
    cleanUps.push(() => removeContainer(socketPath, container.id));
    return container;
  }

  /** Only this file's containers are biz: the daemon is shared, and others do not want to be written to. */
  async function startStore(enrichment: EnrichmentChoice = {}, namespace = 'shop'): Promise<MetaStore> {
    const store = createMetaStore({
      engines: [docker({ socketPath })],
      pods: {
        name: 'mine',
        podOfContainer: ({ name, reference }) =>
          name.startsWith(mark) ? { uid: reference.id, namespace, name, sandboxed: false } : undefined,
      },
      enrichment,
    });
    cleanUps.push(() => store.close());
    await store.start({ requireReady: true });
    return store;
  }

  /** The container once it fits; the store tells of each change. */
  async function waitFor(store: MetaStore, id: string, fits: (container: Container) => boolean): Promise<Container> {
    const signal = AbortSignal.timeout(30_000);
    for await (const event of store.events({ signal })) {
      if ('container' in event && event.container.id === id && fits(event.container)) return event.container;
    }
    throw new Error(`not reached: ${JSON.stringify(store.getContainerByCid(id))}`);
  }

  const isLookedAt = (container: Container): boolean => container.zombieCount !== undefined;

  async function untilZombies({ id, pid }: { id: string; pid: number }, count: number): Promise<void> {
    await vi.waitFor(
      async () => {
        const processes = await listProcesses({ containerId: id, pid });
        expect(processes.filter(({ state }) => state === 'zombie')).toHaveLength(count);
      },
      { timeout: 10_000, interval: 20 },
    );
  }

  test('finds everything without one exec, also where there is no shell', async () => {
    const users = await run({ image: IMAGES.users, hostname: 'named' });
    const bare = await run({ image: IMAGES.noShell, cmd: ['/bin/sleep', '1000000'], env: { TZ: 'CST-8' } });
    const alpine = await run();
    const root = await openContainerRoot({ pid: alpine.pid, containerId: alpine.id });
    await root.writeFile('/etc/alpine-release', '3.20.0\n', { makeParents: true });
    await root.close();
    const execs: unknown[] = [];
    const onExec = (message: unknown): void => {
      execs.push(message);
    };
    subscribe('tracing:crikit:exec:start', onExec);
    try {
      const store = await startStore();
      expect(await waitFor(store, users.id, isLookedAt)).toMatchObject({
        hostname: 'named',
        tz: { name: 'Asia/Shanghai', zone: 'CST', offset: 28_800 },
        ...{ alpineStatus: 'no', pid1Name: 'sleep', zombieCount: 0 },
      });
      expect(await waitFor(store, bare.id, isLookedAt)).toMatchObject({
        tz: { envTz: 'CST-8', zone: 'CST', offset: 28_800 },
        ...{ alpineStatus: 'no', pid1Name: 'sleep' },
      });
      const found = await waitFor(store, alpine.id, isLookedAt);
      expect(found).toMatchObject({ tz: { name: 'UTC', offset: 0 }, alpineStatus: 'yes' });
      // A plain sleep may or may not reap; nobody has seen it.
      expect(found.pid1CanRecycleZombieProcesses).toBeUndefined();
      expect(found.helperStatus).toBeUndefined();
      expect(store.getPodOf(found)?.biz).toEqual([found]);
      expect(execs).toEqual([]);
    } finally {
      unsubscribe('tracing:crikit:exec:start', onExec);
    }
  });

  test('counts zombies, and tells of what it finds as an enrichment', async () => {
    const container = await run({ cmd: ['sh', '-c', '(sleep 0.1 &); (sleep 0.1 &); sleep 0.1 & exec sleep 1000000'] });
    await untilZombies(container, 3);
    const store = await startStore();
    const events: MetaStoreEvent[] = [];
    for await (const event of store.events({ signal: AbortSignal.timeout(30_000) })) {
      if (!('container' in event) || event.container.id !== container.id) continue;
      events.push(event);
      if (isLookedAt(event.container)) break;
    }
    expect(events.at(-1)).toMatchObject({ container: { zombieCount: 3, pid1Name: 'sleep' } });
    if (events.length > 1) expect(events.at(-1)?.type).toBe('container-enriched');
  });

  test('knows who reaps: by name, by the signal that is ignored, in host and shared pid namespaces', async () => {
    const init = await run({ hostConfig: { Init: true } });
    // busybox's shell never ignores SIGCHLD; this machine's Perl does.
    const ignoring = await run({
      cmd: ['/usr/bin/perl', '-e', '$SIG{CHLD} = "IGNORE"; exec "/usr/bin/sleep", "1000000"'],
      binds: ['/usr', '/lib', '/lib64'].map((path) => `${path}:${path}:ro`),
    });
    const host = await run({ pidMode: 'host' });
    const shared = await run({ pidMode: `container:${init.id}` });
    const store = await startStore();
    const expected = { pid1CanRecycleZombieProcesses: true };
    const isKnown = ({ pid1CanRecycleZombieProcesses }: Container): boolean =>
      pid1CanRecycleZombieProcesses !== undefined;
    const withInit = await waitFor(store, init.id, isKnown);
    expect(withInit).toMatchObject(expected);
    expect(withInit.pid1Name).toMatch(/^(docker-init|tini)/);
    expect(await waitFor(store, ignoring.id, isKnown)).toMatchObject({ ...expected, pid1Name: 'sleep' });
    expect(await waitFor(store, host.id, isKnown)).toMatchObject({
      ...expected,
      pid1Name: (await readFile('/proc/1/comm', 'utf8')).trim(),
    });
    expect(await waitFor(store, shared.id, isKnown)).toMatchObject({ ...expected, pid1Name: withInit.pid1Name });
  });

  test('tries out who reaps when asked to', async () => {
    const careless = await run();
    const careful = await run({ cmd: ['sh', '-c', 'while :; do sleep 1; done'] });
    const store = await startStore({ tryRecycling: true });
    const isKnown = ({ pid1CanRecycleZombieProcesses }: Container): boolean =>
      pid1CanRecycleZombieProcesses !== undefined;
    expect((await waitFor(store, careful.id, isKnown)).pid1CanRecycleZombieProcesses).toBe(true);
    expect((await waitFor(store, careless.id, isKnown)).pid1CanRecycleZombieProcesses).toBe(false);
    await untilZombies(careless, 1);
  });

  test('brings a helper where it is missing or differs, and leaves alone what is right', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'crikit-enrichment-'));
    cleanUps.push(() => rm(directory, { recursive: true }));
    const source = join(directory, 'helper');
    const content = '#!/bin/sh\necho helped\n';
    await writeFile(source, content);
    const helper = { source, destination: '/opt/agent/helper' };
    const missing = await run();
    const different = await run();
    const right = await run();
    const readOnly = await run({ hostConfig: { ReadonlyRootfs: true } });
    for (const [{ id, pid }, text] of [
      [different, content.replace('helped', 'HELPED')],
      [right, content],
    ] as const) {
      const root = await openContainerRoot({ pid, containerId: id });
      await root.writeFile(helper.destination, text, { makeParents: true, mode: 0o700 });
      await root.close();
    }
    const store = await startStore({ helper });
    const isSettled = ({ helperStatus }: Container): boolean => helperStatus === 'ok' || helperStatus === 'skipped';
    for (const { id } of [missing, different, right]) {
      expect((await waitFor(store, id, isSettled)).helperStatus).toBe('ok');
      expect((await store.readFile(id, helper.destination)).toString()).toBe(content);
    }
    expect((await waitFor(store, readOnly.id, isSettled)).helperStatus).toBe('skipped');
    expect(await store.stat(missing.id, helper.destination)).toMatchObject({ mode: 0o755, uid: 0 });
    // It was not written again.
    expect(await store.stat(right.id, helper.destination)).toMatchObject({ mode: 0o700 });
    const { stdout } = await store.exec(missing.id, { cmd: [helper.destination], check: true });
    expect(stdout.toString()).toBe('helped\n');
  });

  test('brings no helper to kube-* namespaces', async () => {
    const { id } = await run();
    const helper = { source: process.execPath, destination: '/helper' };
    const store = await startStore({ helper }, 'kube-system');
    const found = await waitFor(store, id, ({ helperStatus }) => helperStatus === 'skipped');
    expect(found.helperStatus).toBe('skipped');
    await expect(store.stat(id, '/helper')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
  });

  test('reads hostname and time zone by exec where the root is out of reach, with the same outcome', async () => {
    const users = await run({ image: IMAGES.users, hostname: 'named' });
    const withEnv = await run({ image: IMAGES.users, env: { TZ: ':America/New_York' } });
    const bare = await run({ image: IMAGES.noShell, cmd: ['/bin/sleep', '1000000'] });
    const store = await startStore({ without: ['hostname', 'tz'] });
    const contextOf = (id: string, isInReach: boolean): EnricherContext<never> => {
      const { hostname, ...container } = store.getContainerByCid(id) as Container;
      return {
        ...{ container, hostRoot: '/', report: () => {}, memory: new Map(), listProcesses: async () => [] },
        openRoot: async () => {
          if (!isInReach) throw new UnsupportedError('a virtual machine, let us say');
          const root = await openRootOfContainer(container);
          cleanUps.push(() => root.close());
          return root;
        },
        exec: (request) => store.exec(id, request),
      };
    };
    const { signal } = new AbortController();
    for (const isInReach of [true, false]) {
      expect(await hostnameEnricher.run(contextOf(users.id, isInReach), signal)).toBe('named');
    }
    for (const { id } of [users, withEnv]) {
      const { at: _, ...near } = (await timeZoneEnricher.run(contextOf(id, true), signal)) ?? { at: '' };
      const { at: __, ...far } = (await timeZoneEnricher.run(contextOf(id, false), signal)) ?? { at: '' };
      expect(far).toEqual(near);
      expect(near).toMatchObject({ name: id === users.id ? 'Asia/Shanghai' : 'America/New_York' });
    }
    expect(await timeZoneEnricher.run(contextOf(bare.id, false), signal)).toBeUndefined();
    expect(await hostnameEnricher.run(contextOf(bare.id, false), signal)).toBeUndefined();
  });

  test('says what the host may do to a container', async () => {
    const { id, pid } = await run();
    const store = await startStore();
    expect(await store.getHostAccess(id)).toEqual({
      access: 'files-and-signals',
      reason: expect.stringContaining(String(pid)),
    });
    await expect(store.getHostAccess('4f5e4f5e4f5e')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
