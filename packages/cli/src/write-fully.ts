import { once } from 'node:events';
import type { Writable } from 'node:stream';

/** Writes and waits until the stream takes more, so that a slow reader does not make memory grow. */
export async function writeFully(stream: Writable, data: string | Uint8Array, signal: AbortSignal): Promise<void> {
  if (!stream.write(data)) await once(stream, 'drain', { signal });
}
