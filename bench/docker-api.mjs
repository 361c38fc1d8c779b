// @ts-check
// The plainest client there can be: node:http on the socket, for the other side of the comparisons.
import { Agent, request } from 'node:http';

/**
 * @param {string} socketPath
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {Agent} [agent] default: Node's own, which keeps connections too
 * @returns {Promise<any>}
 */
export function rawRequest(socketPath, method, path, body, agent) {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const outgoing = request(
      {
        socketPath,
        method,
        path: `/v1.41${path}`,
        agent,
        headers:
          text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      },
      (reply) => {
        /** @type {Buffer[]} */
        const chunks = [];
        reply.on('data', (chunk) => chunks.push(chunk));
        reply.on('end', () => {
          const all = Buffer.concat(chunks);
          if ((reply.statusCode ?? 500) >= 300) reject(new Error(`${method} ${path}: ${reply.statusCode} ${all}`));
          else
            resolve(
              reply.headers['content-type']?.includes('json') && all.length > 0 ? JSON.parse(all.toString()) : all,
            );
        });
        reply.on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(text);
  });
}

/**
 * create, start, inspect.
 * @param {string} socketPath
 * @param {string} id
 * @param {readonly string[]} cmd
 */
export async function rawExec(socketPath, id, cmd) {
  const { Id } = await rawRequest(socketPath, 'POST', `/containers/${id}/exec`, {
    AttachStdout: true,
    AttachStderr: true,
    Cmd: cmd,
  });
  await rawRequest(socketPath, 'POST', `/exec/${Id}/start`, { Detach: false, Tty: false });
  const { ExitCode } = await rawRequest(socketPath, 'GET', `/exec/${Id}/json`);
  if (ExitCode !== 0) throw new Error(`exec ended with ${ExitCode}`);
}

/**
 * One list, then every container inspected, `parallel` at once; on connections of its own, as who looks for the first
 * time has none yet.
 * @param {string} socketPath
 * @param {number} parallel
 */
export async function rawInspectAll(socketPath, parallel) {
  const agent = new Agent({ keepAlive: true });
  /** @type {{ Id: string }[]} */
  const containers = await rawRequest(socketPath, 'GET', '/containers/json?all=1', undefined, agent);
  let next = 0;
  const work = async () => {
    for (let index = next++; index < containers.length; index = next++) {
      await rawRequest(socketPath, 'GET', `/containers/${containers[index]?.Id}/json`, undefined, agent);
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  agent.destroy();
}
