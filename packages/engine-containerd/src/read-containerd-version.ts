/**
 * One call of containerd's version service over node:http2, without any package: what a probe needs, at a tenth of the
 * cost of loading gRPC.
 */
import { connect, type IncomingHttpHeaders } from 'node:http2';
import { createConnection } from 'node:net';

const versionPath = '/containerd.services.version.v1.Version/Version';
const unimplemented = '12';
const frameHeaderBytes = 5;
const longestReplyBytes = 64 * 1024;

/**
 * What the daemon at a socket calls its version. Rejects with an error that has a `code`: NOT_CONTAINERD when something
 * else answers, TIMEOUT (of the signal's reason) when nothing does, else the socket's own.
 */
export async function readContainerdVersion(path: string, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const session = connect('http://localhost', { createConnection: () => createConnection(path) });
  let onAbort = (): void => {};
  try {
    return await new Promise((resolve, reject) => {
      onAbort = () => reject(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      session.once('error', (error: NodeJS.ErrnoException) => {
        reject(error.code?.startsWith('ERR_HTTP2') ? notContainerd(`no HTTP/2 (${error.message})`) : error);
      });
      session.once('close', () => reject(notContainerd('it closed the connection')));
      const call = session.request({
        ':method': 'POST',
        ':path': versionPath,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      const chunks: Buffer[] = [];
      let received = 0;
      let outcome: IncomingHttpHeaders = {};
      // An error comes in the headers when there is no message to send.
      call.on('response', (headers) => {
        outcome = { ...headers };
      });
      call.on('trailers', (trailers) => {
        outcome = { ...outcome, ...trailers };
      });
      call.on('data', (chunk: Buffer) => {
        received += chunk.length;
        if (received > longestReplyBytes) reject(notContainerd('the reply is too long'));
        else chunks.push(chunk);
      });
      call.once('error', (error: NodeJS.ErrnoException) => reject(notContainerd(error.message)));
      call.once('close', () => {
        const status = String(outcome['grpc-status'] ?? '');
        if (status === unimplemented) return reject(notContainerd('it has no version service of containerd'));
        if (status !== '0') {
          const said = status === '' ? `HTTP status ${outcome[':status']}` : `gRPC status ${status}`;
          return reject(notContainerd(`its answer is ${said}`));
        }
        const version = firstStringField(Buffer.concat(chunks).subarray(frameHeaderBytes));
        if (version === undefined) return reject(notContainerd('its reply holds no version'));
        return resolve(version);
      });
      call.end(Buffer.alloc(frameHeaderBytes));
    });
  } finally {
    signal.removeEventListener('abort', onAbort);
    session.on('error', () => {});
    session.destroy();
  }
}

function firstStringField(message: Buffer): string | undefined {
  const lengthDelimitedFieldOne = 0x0a;
  const length = message[1];
  // Lengths below 128 take one byte; no version is longer.
  if (message[0] !== lengthDelimitedFieldOne || length === undefined || length > 127) return undefined;
  if (message.length < 2 + length) return undefined;
  return message.subarray(2, 2 + length).toString();
}

function notContainerd(why: string): Error {
  return Object.assign(new Error(`what answers is not containerd: ${why}`), { code: 'NOT_CONTAINERD' });
}

const oldestVersion: readonly [number, number] = [1, 6];

/** Why this package cannot use a daemon of this version; undefined when it can, or when the version has another form. */
export function objectToVersion(version: string): { readonly message: string; readonly remedy: string } | undefined {
  const [, major, minor] = /^v?(\d+)\.(\d+)/.exec(version) ?? [];
  if (major === undefined || minor === undefined) return undefined;
  const [oldestMajor, oldestMinor] = oldestVersion;
  if (Number(major) > oldestMajor || (Number(major) === oldestMajor && Number(minor) >= oldestMinor)) return undefined;
  return {
    message: `containerd ${version} is too old`,
    remedy: `Use containerd ${oldestMajor}.${oldestMinor} or newer.`,
  };
}
