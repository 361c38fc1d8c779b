// @ts-check
import { connect } from 'node:http2';
import { createConnection } from 'node:net';
import { LabError } from './lab-error.mjs';

/**
 * One gRPC call with an empty request message, enough to ask whether a service is there. No more of gRPC is needed here,
 * and so no package.
 * @param {string} socketPath
 * @param {string} method `/package.Service/Method`
 * @param {number} [timeoutMs] default 2 s
 * @returns {Promise<Buffer>} the reply's message. Throws LAB_REQUEST_FAILED, with gRPC's code as `statusCode`, LAB_TIMEOUT
 *   or the socket's own error
 */
export async function callContainerd(socketPath, method, timeoutMs = 2_000) {
  const session = connect('http://localhost', { createConnection: () => createConnection(socketPath) });
  try {
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new LabError('LAB_TIMEOUT', `${method} at ${socketPath}: no answer within ${timeoutMs} ms`)),
        timeoutMs,
      );
      /** @type {(error: Error) => void} */
      const fail = (error) => {
        clearTimeout(timer);
        reject(error);
      };
      session.once('error', fail);
      const stream = session.request({
        ':method': 'POST',
        ':path': method,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      /** @type {Buffer[]} */
      const chunks = [];
      /** @type {import('node:http2').IncomingHttpHeaders} */
      let outcome = {};
      // An error comes in the headers when there is no message to send.
      stream.on('response', (headers) => Object.assign(outcome, headers));
      stream.on('trailers', (trailers) => {
        outcome = { ...outcome, ...trailers };
      });
      stream.on('data', (chunk) => chunks.push(chunk));
      // A socket's error cancels the streams first; its own code tells more than theirs.
      stream.once('error', (error) => fail(error.cause instanceof Error ? error.cause : error));
      stream.once('close', () => {
        clearTimeout(timer);
        const status = Number(outcome['grpc-status'] ?? Number.NaN);
        if (status === 0) return resolve(Buffer.concat(chunks).subarray(5));
        const message = `${method} at ${socketPath}: gRPC status ${status} ${outcome['grpc-message'] ?? ''}`;
        reject(new LabError('LAB_REQUEST_FAILED', message, { statusCode: status }));
      });
      // A gRPC frame: not compressed, length 0.
      stream.end(Buffer.alloc(5));
    });
  } finally {
    session.destroy();
  }
}

/**
 * @param {string} socketPath
 * @returns {Promise<string>} containerd's version
 */
export async function readContainerdVersion(socketPath) {
  const message = await callContainerd(socketPath, '/containerd.services.version.v1.Version/Version');
  // Field 1 of the reply, a string shorter than 128 bytes.
  if (message[0] !== 0x0a)
    throw new LabError('LAB_REQUEST_FAILED', `no version in containerd's reply at ${socketPath}`);
  return message.subarray(2, 2 + (message[1] ?? 0)).toString();
}

/**
 * @param {string} socketPath
 * @param {boolean} cri whether its CRI must be ready as well; that takes a little longer
 * @returns {Promise<boolean>}
 */
export async function answersContainerd(socketPath, cri) {
  try {
    await readContainerdVersion(socketPath);
    if (cri) await callContainerd(socketPath, '/runtime.v1.RuntimeService/Status');
    return true;
  } catch {
    return false;
  }
}
