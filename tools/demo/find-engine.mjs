// @ts-check
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';

const ANSWER_WITHIN_MS = 2_000;

/**
 * The first Docker engine that answers on this machine, as `unix://…` or `tcp://…`: DOCKER_HOST, then the well-known
 * sockets. What is there but does not answer is told to `report`.
 *
 * @param {(line: string) => void} report
 * @returns {Promise<string | undefined>}
 */
export async function findDockerEngine(report) {
  for (const endpoint of candidates()) {
    const trouble = await ping(endpoint);
    if (trouble === undefined) return endpoint;
    report(`${endpoint} does not answer: ${trouble}`);
  }
  return undefined;
}

function candidates() {
  const { DOCKER_HOST: chosen, XDG_RUNTIME_DIR: runtimeFolder } = process.env;
  const wellKnown = [
    '/var/run/docker.sock',
    '/run/docker.sock',
    ...(runtimeFolder === undefined ? [] : [join(runtimeFolder, 'docker.sock')]),
  ];
  const sockets = wellKnown.filter((path) => existsSync(path)).map((path) => `unix://${path}`);
  return chosen === undefined || chosen === '' ? sockets : [chosen, ...sockets];
}

/**
 * @param {string} endpoint
 * @returns {Promise<string | undefined>} what is wrong, undefined when it answers as Docker does
 */
function ping(endpoint) {
  const target = requestTarget(endpoint);
  if (target === undefined) return Promise.resolve('only unix:// and tcp:// are understood here');
  return new Promise((resolve) => {
    const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
    request({ ...target, path: '/_ping', signal }, (response) => {
      response.resume();
      const isDocker = response.statusCode === 200 && response.headers['api-version'] !== undefined;
      resolve(isDocker ? undefined : `HTTP ${response.statusCode}, and not as Docker does`);
    })
      .once('error', (error) => {
        resolve(signal.aborted ? `nothing within ${ANSWER_WITHIN_MS / 1_000} s` : error.message);
      })
      .end();
  });
}

/** @param {string} endpoint */
function requestTarget(endpoint) {
  if (endpoint.startsWith('unix://')) return { socketPath: endpoint.slice('unix://'.length) };
  const tcp = /^(?:tcp|http):\/\/(\[[^\]]+\]|[^/:]+):(\d+)\/?$/.exec(endpoint);
  return tcp === null ? undefined : { host: tcp[1]?.replace(/[[\]]/g, ''), port: Number(tcp[2]) };
}
