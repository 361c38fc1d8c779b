/**
 * Two questions to containerd's gRPC API by node:http2 alone: how many containers there are in which namespace. The
 * engine looks at its own namespaces only, and this must not load gRPC.
 */
import { type ClientHttp2Session, connect } from 'node:http2';
import { createConnection } from 'node:net';

const frameHeaderBytes = 5;
/** As containerd's own limit of a message. */
const longestReplyBytes = 16 * 1024 * 1024;

/** How many containers each namespace has. Rejects with the system's error, or with what containerd says. */
export async function countContainersByNamespace(
  socketPath: string,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, number>> {
  const session = connect('http://localhost', { createConnection: () => createConnection(socketPath) });
  const failed = new Promise<never>((_, reject) => {
    session.once('error', reject);
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  failed.catch(() => {});
  try {
    const list = await Promise.race([callContainerd(session, 'namespaces', undefined), failed]);
    const names = repeatedFieldOne(list).map((namespace) => repeatedFieldOne(namespace)[0]?.toString() ?? '');
    const counts = names.map(async (name): Promise<[string, number]> => {
      return [name, repeatedFieldOne(await callContainerd(session, 'containers', name)).length];
    });
    return new Map(await Promise.race([Promise.all(counts), failed]));
  } finally {
    session.on('error', () => {});
    session.destroy();
  }
}

const paths = {
  namespaces: '/containerd.services.namespaces.v1.Namespaces/List',
  containers: '/containerd.services.containers.v1.Containers/List',
} as const;

/** One call with an empty message; resolves to the message of the answer. */
function callContainerd(
  session: ClientHttp2Session,
  what: keyof typeof paths,
  namespace: string | undefined,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const call = session.request({
      ':method': 'POST',
      ':path': paths[what],
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(namespace === undefined ? {} : { 'containerd-namespace': namespace }),
    });
    const chunks: Buffer[] = [];
    let bytes = 0;
    let outcome: Record<string, unknown> = {};
    // An error comes in the headers when there is no message to send.
    call.on('response', (headers) => {
      outcome = { ...headers };
    });
    call.on('trailers', (trailers) => {
      outcome = { ...outcome, ...trailers };
    });
    call.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > longestReplyBytes) call.destroy(new Error('the reply is too long'));
      else chunks.push(chunk);
    });
    call.once('error', reject);
    call.once('close', () => {
      if (outcome['grpc-status'] === '0') resolve(Buffer.concat(chunks).subarray(frameHeaderBytes));
      else reject(new Error(`the answer is gRPC status ${outcome['grpc-status']}: ${outcome['grpc-message'] ?? ''}`));
    });
    call.end(Buffer.alloc(frameHeaderBytes));
  });
}

/** The values of field 1, which has messages or text in it; other fields are passed over. */
export function repeatedFieldOne(message: Buffer): Buffer[] {
  const found: Buffer[] = [];
  let offset = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; offset < message.length; shift += 7) {
      const byte = message[offset] ?? 0;
      offset += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new Error('a message ends too early');
  };
  while (offset < message.length) {
    const tag = varint();
    if ((tag & 7) === 0) {
      varint();
      continue;
    }
    const length = (tag & 7) === 1 ? 8 : (tag & 7) === 5 ? 4 : (tag & 7) === 2 ? varint() : Number.NaN;
    if (!(offset + length <= message.length)) throw new Error('a message ends too early');
    if (tag === 0x0a) found.push(message.subarray(offset, offset + length));
    offset += length;
  }
  return found;
}
