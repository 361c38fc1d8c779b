import type { Readable } from 'node:stream';
import type { TarHeader } from 'modern-tar';
import { ProtocolError } from './errors/protocol-error.js';

/**
 * The first headers of an archive, at most `count`; none after one that has content. The rest is not read: `tar` is
 * destroyed.
 */
export async function peekTar(tar: Readable, count: number): Promise<readonly TarHeader[]> {
  const { createTarDecoder } = await import('modern-tar');
  const { readable, writable } = createTarDecoder({ strict: true });
  const writer = writable.getWriter();
  const feeding = (async () => {
    try {
      for await (const chunk of tar) await writer.write(chunk);
      await writer.close();
    } catch (error) {
      await writer.abort(error).catch(() => {});
    }
  })();
  const reader = readable.getReader();
  const headers: TarHeader[] = [];
  try {
    while (headers.length < count && (headers.at(-1)?.size ?? 0) === 0) {
      const { done, value } = await reader.read();
      if (done) break;
      headers.push(value.header);
    }
    return headers;
  } catch (error) {
    throw (
      tar.errored ??
      new ProtocolError(`The engine gave no valid archive: ${(error as Error).message}`, { cause: error })
    );
  } finally {
    await reader.cancel(new Error('enough was read')).catch(() => {});
    tar.destroy();
    await feeding;
  }
}
