import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { removeContainer, runContainer } from '../../../tools/lab/lab.mjs';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import type { AnchoredFiles } from '../src/anchored-files.js';
import { copyFromContainerByHost, copyToContainerByHost } from '../src/copy-by-host.js';
import { openFilesOfProcess } from '../src/open-container-root.js';
import { type Attacker, startAttacker, tryTimes, untilTrue } from './hostile-container.js';

/** The long tests make 20,000 each way, spread over the swaps: each try copies a whole tree. */
const tries = process.env.CRIKIT_LONG_TESTS === undefined ? 60 : 4_000;

const swaps = ['directory-absolute-link', 'directory-dots-link', 'file-link', 'file-fifo', 'rename-directories'];

describeWithDocker('copying by the host, with a container that works against it', ({ socketPath }) => {
  let container: { id: string; pid: number };
  let files: AnchoredFiles;
  /** On the host; the container has one of the same name, with other content. */
  let directory: string;
  let secret: string;
  /** What goes in, and where what comes out arrives. */
  let local: string;

  beforeAll(async () => {
    // Both sides are in memory: a disk's file system would take most of the time for making and removing files.
    container = await runContainer(socketPath, { hostConfig: { Tmpfs: { '/attack': '' } } });
    files = openFilesOfProcess({ pid: container.pid, containerId: container.id });
    directory = mkdtempSync(join(tmpdir(), 'crikit-attack-'));
    secret = join(directory, 'target');
    local = mkdtempSync('/dev/shm/crikit-local-');
    mkdirSync(join(local, 'tree/sub'), { recursive: true });
    for (const name of ['file', 'target', 'sub/file']) writeFileSync(join(local, 'tree', name), 'written');
    mkdirSync(join(local, 'out'));
  });
  beforeEach(() => writeFileSync(secret, 'secret'));
  afterAll(async () => {
    files?.close();
    await removeContainer(socketPath, container.id);
    for (const folder of [directory, local]) rmSync(folder, { recursive: true, force: true });
  });

  let made = 0;
  /** Copies `work` out and says whether a file of the host came with it. */
  const outcomeOf = async (work: string, copy: (work: string, to: string) => Promise<unknown>): Promise<string> => {
    made += 1;
    const to = join(local, 'out', String(made));
    try {
      await copy(work, to);
      return contentsBelow(to).includes('secret') ? 'secret' : 'copied';
    } finally {
      rmSync(to, { recursive: true, force: true });
    }
  };
  const copyIn = (name: string, target: string): Promise<unknown> => {
    const source = join(local, name);
    return copyToContainerByHost(files, source, lstatSync(source), target);
  };
  const hostIsUntouched = (): void => {
    expect(readdirSync(directory)).toEqual(['target']);
    expect(readFileSync(secret, 'utf8')).toBe('secret');
  };

  describe.each(swaps)('while a program in it swaps: %s', (action) => {
    const work = `/attack/${action}`;
    // A tree with a FIFO in it is never copied; the file may be, while it is one.
    const from = action === 'file-fifo' ? `${work}/target` : work;
    let attacker: Attacker;
    beforeAll(async () => {
      attacker = await startAttacker(container.pid, directory, work, action);
    });
    afterAll(async () => {
      expect(await attacker.stop()).toBeGreaterThan(tries);
    });

    it(`nothing of the host comes out, and nothing hangs, in ${tries} tries`, async () => {
      const seen = await tryTimes(tries, () => outcomeOf(from, (path, to) => copyFromContainerByHost(files, path, to)));
      expect([seen.get('secret') ?? 0, seen.get('hung') ?? 0]).toEqual([0, 0]);
      expect(seen.get('copied') ?? 0).toBeGreaterThan(0);
      expect(readdirSync(join(local, 'out'))).toEqual([]);
      hostIsUntouched();
    }, 1_200_000);

    it(`nothing goes to the host, and nothing hangs, in ${tries} tries`, async () => {
      let count = 0;
      const seen = await tryTimes(tries, () => {
        count += 1;
        return count % 2 === 0
          ? copyIn('tree', `${work}/directory/new-${count}/tree`)
          : copyIn('tree/target', `${work}${action.startsWith('file') ? '' : '/directory'}/target`);
      });
      expect(seen.get('hung') ?? 0).toBe(0);
      expect(seen.get('[object Object]') ?? 0).toBeGreaterThan(0);
      hostIsUntouched();
    }, 1_200_000);
  });

  it(`nothing goes to the host while what is put together is swapped, in ${tries} tries`, async () => {
    const work = '/attack/stage';
    const attacker = await startAttacker(container.pid, directory, work, 'stage');
    try {
      let count = 0;
      const seen = await tryTimes(tries, () => {
        count += 1;
        return copyIn('tree', `${work}/new-${count}`);
      });
      expect(seen.get('hung') ?? 0).toBe(0);
      expect(seen.get('[object Object]') ?? 0).toBeGreaterThan(0);
      hostIsUntouched();
    } finally {
      expect(await attacker.stop()).toBeGreaterThan(0);
    }
  }, 1_200_000);

  describe('this attack, on somebody who copies by path', () => {
    const seenByPath = (path: string): string => `/proc/${container.pid}/root${path}`;

    it.each(['directory-absolute-link', 'file-link'])(
      'takes files of the host along: %s',
      async (action) => {
        const work = `/attack/naive-${action}`;
        const attacker = await startAttacker(container.pid, directory, work, action);
        try {
          const copy = (from: string, to: string) => cp(seenByPath(from), to, { recursive: true });
          expect(await untilTrue(async () => (await outcomeOf(work, copy)) === 'secret')).toBe(true);
        } finally {
          await attacker.stop();
        }
      },
      120_000,
    );

    it('writes to the host: into a directory that is swapped', async () => {
      const work = '/attack/naive-in';
      const attacker = await startAttacker(container.pid, directory, work, 'directory-absolute-link');
      try {
        const written = await untilTrue(async () => {
          await cp(join(local, 'tree'), seenByPath(`${work}/directory`), { recursive: true, force: true });
          return readdirSync(directory).length > 1;
        });
        expect(written).toBe(true);
      } finally {
        await attacker.stop();
        emptyBut(directory, 'target');
      }
    }, 120_000);

    it('writes to the host: while what is put together is swapped', async () => {
      const work = '/attack/naive-stage';
      const attacker = await startAttacker(container.pid, directory, work, 'stage');
      try {
        let count = 0;
        const written = await untilTrue(async () => {
          count += 1;
          const stage = seenByPath(`${work}/.crikit-${count}`);
          await cp(join(local, 'tree'), `${stage}/item`, { recursive: true }).catch(() => {});
          rmSync(stage, { recursive: true, force: true });
          return readdirSync(directory).length > 1 || readFileSync(secret, 'utf8') !== 'secret';
        });
        expect(written).toBe(true);
      } finally {
        await attacker.stop();
        emptyBut(directory, 'target');
      }
    }, 120_000);
  });
});

/** Of all regular files; links are not followed. */
function contentsBelow(path: string): string[] {
  const status = lstatSync(path);
  if (status.isDirectory()) return readdirSync(path).flatMap((name) => contentsBelow(join(path, name)));
  return status.isFile() ? [readFileSync(path, 'utf8')] : [];
}

function emptyBut(directory: string, name: string): void {
  for (const found of readdirSync(directory)) {
    if (found !== name) rmSync(join(directory, found), { recursive: true });
  }
}
