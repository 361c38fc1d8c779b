/**
 * Copying by base64 through the container's `sh`, the method `chunk`: for containers without `tar`. What goes in goes in
 * the arguments of commands, so that not even a stdin is needed.
 */
import { posix } from 'node:path';
import type { TarHeader } from 'modern-tar';
import { createChecksum } from './checksum.js';
import { type ExecTarget, explainFailure, openStage, readContainerOutput, runInContainer } from './copy-by-exec.js';
import { decoderScript, notCopyableCode, notFoundCode, readScript, writeScript } from './copy-chunk-scripts.js';
import { type HostSource, packHostSource } from './copy-host-source.js';
import type { CopyOptions, CopyOutcome } from './copy-options.js';
import type { CrikitError } from './errors/crikit-error.js';
import { PathNotFoundError } from './errors/path-not-found-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { markFinal } from './final-copy-errors.js';
import { packChunkRecords } from './read-chunk-records.js';
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
  const cmd = ['sh', '-c', readScript, 'sh', source, 'item'];
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
  const { tar, packed } = await packChunkRecords(output);
  try {
    return { method: 'chunk', ...(await unpackTar(tar, target, options)) };
  } finally {
    tar.destroy();
    await packed;
  }
}
