import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ContainerEngine, connectEngine, createContainerEngine, silentLogger } from '@crikit/core';
import type { EngineFixture, FixtureContainer } from '@crikit/engine-conformance';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { containerd } from '../src/containerd.js';
import { createContainerdClient } from '../src/containerd-client.js';
import { createContainerdDriver } from '../src/containerd-driver.js';
import { createExecFifos } from '../src/exec-fifos.js';
import { createContainerdFixture, describeWithContainerds } from './containerd-fixture.js';

describeWithContainerds('exec on containerd, the folder for its pipes', ({ daemon }) => {
  let fixture: EngineFixture;
  let container: FixtureContainer;
  let scratch: string;

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'crikit-fifo-'));
    fixture = await createContainerdFixture(daemon);
    container = await fixture.runContainer();
  });
  afterAll(async () => {
    await fixture?.close();
    if (scratch !== undefined) rmSync(scratch, { recursive: true });
  });

  test('is the one asked for, and is empty afterwards', async () => {
    const directory = join(scratch, 'chosen', 'deep');
    const engine = await connectEngine(containerd({ address: daemon.socketPath, fifoDirectory: directory }));
    await engine.exec(container.target, { cmd: ['true'], check: true });
    expect(readdirSync(directory)).toHaveLength(1);
    await engine.close();
    expect(readdirSync(directory)).toEqual([]);
  });

  test('is below the host root for this process, and not for the shim', async () => {
    // A host root that shows the node's folders under another name, as a mount in an agent's container does.
    const engine = await connectEngine(
      containerd({ address: `/proc/self/root${daemon.socketPath}`, fifoDirectory: join(scratch, 'shared') }),
      { hostRoot: '/proc/self/root' },
    );
    expect((await engine.exec(container.target, { cmd: ['echo', 'seen'] })).stdout.toString()).toBe('seen\n');
    await engine.close();
  });

  test('where it means another folder to the shim, the error says what to do', async () => {
    const engine = await connectEngine(
      containerd({ address: daemon.socketPath, fifoDirectory: '/no-such-folder-on-the-node' }),
      { hostRoot: scratch },
    );
    await expect(engine.exec(container.target, { cmd: ['true'] })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('fifoDirectory'),
    });
    await engine.close();
  });

  test('where it cannot be made, a warning says so at connect, lists work, and execs are refused', async () => {
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (_fields: object, message: string) => void warnings.push(message) };
    const engine = await connectEngine(
      containerd({ address: daemon.socketPath, namespaces: ['default'], fifoDirectory: '/proc/no-such' }),
      { logger },
    );
    expect(warnings).toEqual([expect.stringContaining('no exec is possible')]);
    expect(await engine.listAllContainers()).not.toEqual([]);
    await expect(engine.exec(container.target, { cmd: ['true'] })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      applied: 'no',
    });
    await engine.close();
  });

  test('without a program that makes pipes, output goes through files and stdin is refused', async () => {
    const directory = join(scratch, 'files');
    const engine = await connectWithoutMkfifo(directory);
    try {
      const script = 'head -c 3000000 /dev/zero; echo err >&2; sleep 0.1; echo end; exit 3';
      const { exitCode, stdout, stderr } = await engine.exec(container.target, { cmd: ['sh', '-c', script] });
      expect([exitCode, stdout.length, stdout.subarray(-4).toString(), stderr.toString()]).toEqual([
        3,
        3_000_004,
        'end\n',
        'err\n',
      ]);
      await expect(engine.exec(container.target, { cmd: ['cat'], input: 'x' })).rejects.toMatchObject({
        code: 'UNSUPPORTED',
      });
      await expect(engine.exec(container.target, { cmd: ['no-such'] })).rejects.toMatchObject({
        code: 'COMMAND_NOT_FOUND',
      });
      const running = await engine.execAsync(container.target, { cmd: ['sh', '-c', 'echo early; sleep 1000'] });
      running.stderr.resume();
      for await (const chunk of running.stdout) {
        expect(String(chunk)).toBe('early\n');
        break;
      }
      await running.kill();
    } finally {
      await engine.close();
    }
    expect(readdirSync(directory)).toEqual([]);
  });

  async function connectWithoutMkfifo(directory: string): Promise<ContainerEngine> {
    const fifos = await createExecFifos({
      engine: 'containerd',
      directory,
      hostRoot: '/',
      logger: silentLogger,
      program: 'no-such-mkfifo',
    });
    const driver = createContainerdDriver({
      client: createContainerdClient(daemon.socketPath),
      engine: `containerd:${daemon.socketPath}`,
      version: undefined,
      socketPath: daemon.socketPath,
      namespaces: ['default'],
      hostRoot: '/',
      fifos,
    });
    return createContainerEngine(containerd(), driver);
  }
});
