// @ts-check
import { request } from 'node:http';
import { LabError } from './lab-error.mjs';

/**
 * Where a Docker daemon listens: the path of a unix socket, or `tcp://host:port`.
 * @typedef {string} DockerEndpoint
 */

/**
 * @param {DockerEndpoint} endpoint
 */
function connectionOptions(endpoint) {
  if (!endpoint.startsWith('tcp://')) return { socketPath: endpoint.replace(/^unix:\/\//, '') };
  const url = new URL(endpoint);
  return { host: url.hostname, port: Number(url.port) };
}

/**
 * One request of Docker's HTTP API, without a version in the path: the daemon's newest.
 * @param {DockerEndpoint} endpoint
 * @param {string} method
 * @param {string} path
 * @param {{ body?: unknown, timeoutMs?: number }} [options] `body`: a Buffer goes as a tar, anything else as JSON;
 *   `timeoutMs` default 60 s
 * @returns {Promise<any>} the reply: parsed JSON, text when it is none, undefined when it is empty. Throws
 *   LAB_REQUEST_FAILED with the `statusCode` on 400 and above, LAB_TIMEOUT, or the socket's own error.
 */
export function dockerRequest(endpoint, method, path, { body, timeoutMs = 60_000 } = {}) {
  return new Promise((resolve, reject) => {
    const payload = body === undefined || Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
    const call = request(
      {
        ...connectionOptions(endpoint),
        method,
        path,
        agent: false,
        headers: {
          host: 'docker',
          ...(payload === undefined ? {} : { 'content-length': payload.length }),
          ...(payload === undefined
            ? {}
            : { 'content-type': Buffer.isBuffer(body) ? 'application/x-tar' : 'application/json' }),
        },
      },
      (response) => {
        /** @type {Buffer[]} */
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          clearTimeout(timer);
          const reply = parseReply(Buffer.concat(chunks).toString());
          const statusCode = response.statusCode ?? 0;
          if (statusCode < 400) return resolve(reply);
          const message = `${method} ${path} at ${endpoint}: ${statusCode} ${reply?.message ?? reply ?? ''}`;
          reject(new LabError('LAB_REQUEST_FAILED', message, { statusCode }));
        });
      },
    );
    const timer = setTimeout(
      () =>
        call.destroy(new LabError('LAB_TIMEOUT', `${method} ${path} at ${endpoint}: no answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    call.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    call.end(payload);
  });
}

/**
 * @param {string} text
 */
function parseReply(text) {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * @param {DockerEndpoint} endpoint
 * @param {number} [timeoutMs] default 2 s
 * @returns {Promise<boolean>} whether a daemon answers there
 */
export async function answersPing(endpoint, timeoutMs = 2_000) {
  try {
    return (await dockerRequest(endpoint, 'GET', '/_ping', { timeoutMs })) === 'OK';
  } catch {
    return false;
  }
}
