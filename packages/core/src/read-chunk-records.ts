/** Reads what `readScript` writes in a container. It comes out of a container: nothing in it is taken for granted. */
import { Readable } from 'node:stream';
import type { TarHeader, TarPackController } from 'modern-tar';
import { createChecksum } from './checksum.js';
import { CopyFailedError } from './errors/copy-failed-error.js';
import { ProtocolError } from './errors/protocol-error.js';

export interface PackedRecords {
  /** Ends with an error when what was read is not what the script writes, or a file was changed under it. */
  readonly tar: Readable;
  /** Resolves when no more is read; never rejects. Destroying `tar` ends it. */
  readonly packed: Promise<void>;
}

/** Makes a tar of the records, while they come. */
export async function packChunkRecords(output: AsyncIterable<Buffer>): Promise<PackedRecords> {
  const { createTarPacker } = await import('modern-tar');
  const { readable, controller } = createTarPacker();
  const tar = Readable.fromWeb(readable as Parameters<typeof Readable.fromWeb>[0]);
  tar.on('error', () => {});
  const lines = readLines(output);
  const pack = async (): Promise<void> => {
    try {
      await packRecords(lines, controller);
      controller.finalize();
    } catch (error) {
      controller.error(error);
    } finally {
      // Ends the command: Docker holds up further execs while nobody reads the output of this one.
      await lines.return(undefined).catch(() => {});
    }
  };
  return { tar, packed: pack() };
}

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
