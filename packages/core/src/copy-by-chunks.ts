/**
 * Copying by base64 through the container's `sh`, the method `chunk`: for containers without `tar`. What goes in goes in
 * the arguments of commands, so that not even a stdin is needed.
 */
import { posix } from 'node:path';
import { Readable } from 'node:stream';
import type { TarHeader, TarPackController } from 'modern-tar';
import { createChecksum } from './checksum.js';
import { type ExecTarget, explainFailure, openStage, readContainerOutput, runInContainer } from './copy-by-exec.js';
import { decoderScript, notCopyableCode, notFoundCode, readScript, writeScript } from './copy-chunk-scripts.js';
import { type HostSource, packHostSource } from './copy-host-source.js';
import type { CopyOptions, CopyOutcome } from './copy-options.js';
import { CopyFailedError } from './errors/copy-failed-error.js';
import type { CrikitError } from './errors/crikit-error.js';
import { PathNotFoundError } from './errors/path-not-found-error.js';
import { ProtocolError } from './errors/protocol-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { markFinal } from './final-copy-errors.js';
import { decodeTar, unpackTar } from './unpack-tar.js';

/** Of one argument; the kernel allows 128 KiB. */
const maxArgumentBytes = 120_000;
/** Of one command; core allows 1 MiB, environment included. */
const maxCommandBytes = 700_000;
/** For a size that no argument's own length shows. */
const argumentOverhead = 16;

/** Needs `sh`, `mkdir`, `mv`, `rm`, `rmdir`, `chown`, `chmod` in the container, and `ln` for links. */
export async function copyToContainerByChunks(
  container: ExecTarget,
  source: HostSource,
  target: string,
  options: CopyOptions,
): Promise<CopyOutcome> {
  const { exec, reference } = container;
  const { signal } = options;
  const command = { ...(signal !== undefined && { signal }) };
  const stage = await openStage(container, target, source.stats.isDirectory(), signal);
  try {
    const chosen = await runInContainer(container, ['sh', '-c', decoderScript], command);
    const decoder = chosen.stdout.toString('latin1').trim() === 'base64' ? 'base64' : 'printf';
    const rawBytes = decoder === 'base64' ? (maxArgumentBytes / 4) * 3 : maxArgumentBytes / 4;
    let steps: string[] = [];
    let stepBytes = 0;
    const flush = async (): Promise<void> => {
      if (steps.length === 0) return;
      const cmd = ['sh', '-c', writeScript, 'sh', stage.path, decoder, ...steps];
      steps = [];
      stepBytes = 0;
      const result = await runInContainer(container, cmd, command);
      if (result.exitCode === 0) return;
      throw explainFailure(
        result,
        `copy to '${target}' of container ${reference.id}`,
        target,
        reference,
        exec.driver.id,
      );
    };
    const step = async (...words: readonly string[]): Promise<void> => {
      const bytes = words.reduce((sum, word) => sum + Buffer.byteLength(word) + argumentOverhead, 0);
      if (stepBytes + bytes > maxCommandBytes) await flush();
      steps.push(...words);
      stepBytes += bytes;
    };

    const copied = await packHostSource(source, posix.basename(stage.item), options, async (tar) => {
      const finishing: (readonly string[])[] = [];
      await decodeTar(tar, async ({ header, body }) => {
        const name = header.name.replace(/\/$/, '');
        const facts = [header.uid, header.gid, (header.mode ?? 0).toString(8), secondsOf(header)].map(String);
        if (header.type === 'directory') {
          await step('d', name);
          finishing.push(['o', name, 'd', ...facts]);
        } else if (header.type === 'symlink') {
          await step('l', name, header.linkname ?? '');
          await step('o', name, 'l', ...facts);
        } else {
          await step('f', name);
          const checksum = createChecksum();
          for await (const chunk of inPieces(body, rawBytes)) {
            checksum.add(chunk);
            await step('a', name, decoder === 'base64' ? chunk.toString('base64') : toOctal(chunk));
          }
          await step('e', name, String(header.size), checksum.end());
          await step('o', name, 'f', ...facts);
        }
      });
      // Children before parents: a final mode may shut us out, and a new child would change the parent's time.
      for (const words of finishing.reverse()) await step(...words);
      await flush();
    });
    await stage.arrive(copied.bytes, signal);
    return { method: 'chunk', ...copied };
  } catch (error) {
    await stage.discard(error);
    throw error;
  }
}

function secondsOf({ mtime }: TarHeader): number {
  return Math.floor((mtime?.getTime() ?? 0) / 1000);
}

function toOctal(bytes: Buffer): string {
  let text = '';
  for (const byte of bytes) text += `\\${byte.toString(8).padStart(3, '0')}`;
  return text;
}

async function* inPieces(stream: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Buffer> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  for await (const chunk of stream) {
    held.push(Buffer.from(chunk));
    heldBytes += chunk.length;
    if (heldBytes < size) continue;
    let all = Buffer.concat(held);
    for (; all.length >= size; all = all.subarray(size)) yield all.subarray(0, size);
    held = [all];
    heldBytes = all.length;
  }
  if (heldBytes > 0) yield Buffer.concat(held);
}

/** Needs `sh`, `base64` and `stat` in the container, and `readlink` for links. */
export async function copyFromContainerByChunks(
  container: ExecTarget,
  source: string,
  target: string,
  options: CopyOptions,
): Promise<CopyOutcome> {
  const { createTarPacker } = await import('modern-tar');
  const cmd = ['sh', '-c', readScript, 'sh', source, 'item'];
  const { readable, controller } = createTarPacker();
  const tar = Readable.fromWeb(readable as Parameters<typeof Readable.fromWeb>[0]);
  tar.on('error', () => {});
  const explain = (exitCode: number): CrikitError | undefined => {
    if (exitCode === notFoundCode) {
      return new PathNotFoundError(`There is no '${source}' in container ${container.reference.id}.`, {
        applied: 'no',
      });
    }
    if (exitCode !== notCopyableCode) return undefined;
    return markFinal(
      new UnsupportedError(`In '${source}' there is a socket, FIFO or device, which cannot be copied.`, {
        applied: 'no',
      }),
    );
  };
  const output = readContainerOutput(container, cmd, source, options.signal, explain);
  const lines = readLines(output);
  const packing = (async () => {
    try {
      await packRecords(lines, controller);
      controller.finalize();
    } catch (error) {
      controller.error(error);
    } finally {
      // Ends the command: Docker holds up further execs while nobody reads the output of this one.
      await lines.return(undefined).catch(() => {});
    }
  })();
  try {
    return { method: 'chunk', ...(await unpackTar(tar, target, options)) };
  } finally {
    tar.destroy();
    await packing;
  }
}

/** Makes tar entries of what `readScript` writes. It comes out of a container: nothing in it is taken for granted. */
async function packRecords(lines: AsyncIterator<string>, controller: TarPackController): Promise<void> {
  for (;;) {
    const { done, value } = await lines.next();
    if (done === true) return;
    const found = /^\+ ([fdl]) ([0-7]{1,4}) (\d{1,10}) (\d{1,10}) (-?\d{1,12}) (\d{1,15})$/.exec(value);
    if (found === null) throw malformed();
    const [, kind, mode = '', uid, gid, seconds, bytes] = found;
    const name = (await readText(lines)).toString();
    const header = {
      name,
      mode: Number.parseInt(mode, 8),
      uid: Number(uid),
      gid: Number(gid),
      mtime: new Date(Math.max(0, Number(seconds)) * 1000),
    };
    if (kind === 'd') {
      await controller.add({ ...header, name: `${name}/`, type: 'directory', size: 0 }).close();
    } else if (kind === 'l') {
      const linkname = (await readText(lines)).toString().replace(/\n$/, '');
      await controller.add({ ...header, type: 'symlink', size: 0, linkname }).close();
    } else {
      await packContent(lines, controller, { ...header, type: 'file', size: Number(bytes) });
    }
  }
}

async function packContent(
  lines: AsyncIterator<string>,
  controller: TarPackController,
  header: TarHeader,
): Promise<void> {
  const writer = controller.add(header).getWriter();
  const checksum = createChecksum();
  let left = header.size;
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  const flush = async (): Promise<void> => {
    if (pendingBytes > 0) await writer.write(Buffer.concat(pending));
    pending = [];
    pendingBytes = 0;
  };
  for (let line = await nextLine(lines); line !== '.'; line = await nextLine(lines)) {
    const bytes = Buffer.from(line, 'base64');
    left -= bytes.length;
    if (left < 0) throw changed(header);
    checksum.add(bytes);
    pending.push(bytes);
    pendingBytes += bytes.length;
    if (pendingBytes >= flushBytes) await flush();
  }
  await flush();
  const sum = await nextLine(lines);
  if (left > 0 || (sum !== '-' && sum !== checksum.end())) throw changed(header);
  await writer.close();
}

const flushBytes = 64 * 1024;
const maxTextBytes = 8192;
/** base64 is written in lines of 76; a container that writes longer ones is not believed. */
const maxLineBytes = 1024;

async function readText(lines: AsyncIterator<string>): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for (let line = await nextLine(lines); line !== '.'; line = await nextLine(lines)) {
    const part = Buffer.from(line, 'base64');
    bytes += part.length;
    if (bytes > maxTextBytes) throw malformed();
    parts.push(part);
  }
  return Buffer.concat(parts);
}

async function nextLine(lines: AsyncIterator<string>): Promise<string> {
  const { done, value } = await lines.next();
  if (done === true) throw malformed();
  return value;
}

async function* readLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + chunk.toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > maxLineBytes) throw malformed();
    yield* lines;
  }
  if (rest !== '') throw malformed();
}

function malformed(): ProtocolError {
  return new ProtocolError('What the shell of the container wrote is not what it was asked for.', { applied: 'no' });
}

function changed({ name }: TarHeader): CopyFailedError {
  return new CopyFailedError(`${JSON.stringify(name.slice(0, 200))} changed while it was copied.`, {
    applied: 'no',
    retryable: true,
  });
}
