import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { EngineFixture, FixtureContainer } from '@crikit/engine-conformance';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { createDockerFixture } from './docker-fixture.js';

const size = 200 * 1024 * 1024;

describeWithDocker('Docker, what it uses', ({ socketPath }) => {
  let fixture: EngineFixture;
  let container: FixtureContainer;
  beforeAll(async () => {
    fixture = await createDockerFixture(socketPath);
    container = await fixture.runContainer();
  });
  afterAll(async () => {
    await fixture?.close();
  });

  const runProgram = async (name: string, argument: string) => {
    const program = join(import.meta.dirname, name);
    const { stdout } = await promisify(execFile)(process.execPath, [program, socketPath, container.id, argument]);
    return JSON.parse(stdout) as Record<string, unknown>;
  };

  test('200 MiB of output to a slow reader stay intact and cost less than 64 MiB of memory', async () => {
    const { grownMiB, ...report } = await runProgram('slow-reader.mjs', 'stdout');
    const line = Buffer.from('0123456789\n');
    const hash = createHash('sha256').update(Buffer.alloc(size - (size % line.length), line));
    hash.update(line.subarray(0, size % line.length));
    expect(report).toEqual({ bytes: size, digest: hash.digest('hex'), result: { exitCode: 0 } });
    expect(grownMiB).toBeLessThan(64);
  });

  test('200 MiB of input to a command that reads late cost less than 64 MiB of memory', async () => {
    const { grownMiB, bytes } = await runProgram('slow-reader.mjs', 'stdin');
    expect(bytes).toBe(size);
    expect(grownMiB).toBeLessThan(64);
  });

  test('a process of this machine is signalled from here', async () => {
    // The control of what the tests of a remote daemon say never happens.
    const signalled = vi.spyOn(process, 'kill');
    const command = fixture.engine.exec(container.target, { cmd: ['sleep', '2626'], timeoutMs: 300 });
    await expect(command).rejects.toMatchObject({ termination: { methods: ['host-process-group'] } });
    expect(signalled).toHaveBeenCalled();
    signalled.mockRestore();
  });

  test('100 commands in a row leave no descriptor, connection, timer or listener behind', async () => {
    // That the program ends by itself says that nothing keeps it alive, either.
    const { before, after, warnings } = await runProgram('many-commands.mjs', '100');
    expect(after).toEqual(before);
    expect(warnings).toEqual([]);
  });
});
