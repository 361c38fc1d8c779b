/**
 * The named pipes that carry an exec's streams between this process and the shim. Node cannot make one, so coreutils'
 * `mkfifo` makes them a batch at a time, ahead of need. Each is used once: its name goes when both ends are open.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { posix } from 'node:path';
import { hostPath, type Logger, UnsupportedError } from '@crikit/core';

export interface ExecFifos {
  /** `fifo`: pipes. `file`: no program makes pipes here, so output goes through files and there is no stdin. */
  readonly kind: 'fifo' | 'file';
  /** Makes paths for one exec. Rejects with `UNSUPPORTED`, which says why, where nothing can be made. */
  take(count: number): Promise<ExecPath[]>;
  /** Removes the folder. */
  close(): Promise<void>;
}

/** One pipe or file. */
export interface ExecPath {
  /** For this process. */
  readonly path: string;
  /** For the shim. */
  readonly shimPath: string;
  /** Removes the name; what is open stays. Harmless when it is gone. */
  unlink(): void;
}

export interface ExecFifosOptions {
  readonly engine: string;
  /** On the node. */
  readonly directory: string;
  readonly hostRoot: string;
  readonly logger: Logger;
  /** Default: `mkfifo`, looked for in PATH. */
  readonly program?: string;
}

const batch = 24;
const refillBelow = 9;
/** Starting a program holds this thread up, and an exec that has just taken its pipes would wait for it. */
const refillDelayMs = 5;

/** Makes the folder and the first pipes. Never rejects: what is wrong is told by `take`, and to the logger now. */
export async function createExecFifos(options: ExecFifosOptions): Promise<ExecFifos> {
  const { engine, directory, hostRoot, logger, program = 'mkfifo' } = options;
  const name = await ownFolderName();
  const shimFolder = posix.join(directory, name);
  const folder = hostPath(hostRoot, shimFolder);
  const ready: string[] = [];
  let kind: ExecFifos['kind'] = 'fifo';
  let broken: Error | undefined;
  let refilling: Promise<void> | undefined;
  let refillTimer: NodeJS.Timeout | undefined;
  let closed = false;

  try {
    await makeFolder(folder);
    await removeAbandoned(posix.dirname(folder), name);
    await makeFifos(program, folder, addNames(batch));
  } catch (error) {
    ready.length = 0;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && (await stat(folder).catch(() => undefined))?.isDirectory() === true) {
      kind = 'file';
      logger.warn({ engine, program }, 'there is no mkfifo: execs write to files, and have no stdin');
    } else {
      broken = error as Error;
      logger.warn({ engine, folder, error }, 'the folder for the pipes of execs cannot be used: no exec is possible');
    }
  }

  function addNames(count: number): string[] {
    const names = Array.from({ length: count }, () => randomBytes(8).toString('hex'));
    ready.push(...names);
    return names;
  }

  const refill = (count: number): Promise<void> => {
    refilling ??= (async () => {
      const names = Array.from({ length: count }, () => randomBytes(8).toString('hex'));
      await makeFifos(program, folder, names);
      ready.push(...names);
    })().finally(() => {
      refilling = undefined;
    });
    return refilling;
  };

  const pathOf = (base: string): ExecPath => {
    const path = posix.join(folder, base);
    return {
      path,
      shimPath: posix.join(shimFolder, base),
      unlink() {
        try {
          unlinkSync(path);
        } catch {
          // It is gone.
        }
      },
    };
  };

  const unusable = (error: Error): UnsupportedError =>
    new UnsupportedError(`Could not make the pipes of an exec in ${folder}: ${error.message}.`, {
      engine,
      applied: 'no',
      cause: error,
      remedy: 'Give `fifoDirectory`: a folder that this process can write, on the same path for containerd’s shims.',
    });

  return {
    get kind() {
      return kind;
    },
    async take(count) {
      if (broken !== undefined) throw unusable(broken);
      if (kind === 'file') {
        const names = Array.from({ length: count }, () => randomBytes(8).toString('hex'));
        try {
          for (const base of names) writeFileSync(posix.join(folder, base), '', { mode: 0o600, flag: 'wx' });
        } catch (error) {
          throw unusable(error as Error);
        }
        return names.map(pathOf);
      }
      const taken = ready.splice(0, count);
      while (taken.length < count) {
        await refill(Math.max(batch, count)).catch((error: Error) => {
          for (const base of taken) pathOf(base).unlink();
          throw unusable(error);
        });
        taken.push(...ready.splice(0, count - taken.length));
      }
      if (ready.length < refillBelow && !closed) {
        refillTimer ??= setTimeout(() => {
          refillTimer = undefined;
          if (ready.length < refillBelow) refill(batch).catch(() => {});
        }, refillDelayMs).unref();
      }
      return taken.map(pathOf);
    },
    async close() {
      closed = true;
      clearTimeout(refillTimer);
      await refilling?.catch(() => {});
      await rm(folder, { recursive: true, force: true }).catch(() => {});
    },
  };
}

/** Not by Node's recursive mkdir, which never ends on file systems that answer ENOENT, such as /proc. */
async function makeFolder(path: string, triedParent = false): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || triedParent || path === '/') throw error;
    await makeFolder(posix.dirname(path));
    await makeFolder(path, true);
  }
}

function makeFifos(program: string, folder: string, names: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['-m', '600', ...names], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${program} ended with code ${code}: ${said.trim()}`));
    });
  });
}

/** The end that reads; it waits for a writer, and ends when the last one has gone. */
export function openFifoReader(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
}

/** The end that writes. It is made with the help of an end that reads, since none may be there yet. */
export function openFifoWriter(path: string): number {
  const both = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } finally {
    closeSync(both);
  }
}

/** Whether anybody has the reading end of a pipe open whose writing end this is. */
export function hasFifoReader(writer: number): boolean {
  try {
    closeSync(openSync(`/proc/self/fd/${writer}`, constants.O_WRONLY | constants.O_NONBLOCK));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENXIO') return false;
    throw error;
  }
}

export function closeQuietly(descriptor: number): void {
  try {
    closeSync(descriptor);
  } catch {
    // It was closed.
  }
}

/** `crikit-<pid namespace>-<pid>-<random>`: tells who made it, so that what a killed agent left can be removed. */
async function ownFolderName(): Promise<string> {
  return `crikit-${await pidNamespace()}-${process.pid}-${randomBytes(4).toString('hex')}`;
}

async function pidNamespace(): Promise<string> {
  const found = await stat('/proc/self/ns/pid').catch(() => undefined);
  return String(found?.ino ?? 0);
}

async function removeAbandoned(parent: string, ownName: string): Promise<void> {
  const [, namespace] = ownName.split('-');
  for (const entry of await readdir(parent)) {
    const [prefix, entryNamespace, pid] = entry.split('-');
    if (prefix !== 'crikit' || entryNamespace !== namespace || entry === ownName || !/^\d+$/.test(pid ?? '')) continue;
    if (!isRunning(Number(pid))) await rm(posix.join(parent, entry), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
