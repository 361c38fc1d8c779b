// @ts-check
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LabError } from './lab-error.mjs';

/**
 * One open connection to a containerd's CRI. Unlike the rest of the lab it needs the workspace's packages: gRPC is loaded
 * at the first use.
 * @typedef {object} CriClient
 * @property {(method: string, request: object) => Promise<any>} call a call of `runtime.v1.RuntimeService`, with the
 *   request in the field names of cri.proto. Throws LAB_REQUEST_FAILED with gRPC's code as `statusCode`
 * @property {() => void} close
 */

const deadlineMs = 60_000;

/**
 * @param {string} socketPath
 * @returns {Promise<CriClient>}
 */
export async function createCriClient(socketPath) {
  const [{ default: grpc }, { default: protoLoader }] = await Promise.all([
    import('@grpc/grpc-js'),
    import('@grpc/proto-loader'),
  ]);
  const protoPath = join(dirname(fileURLToPath(import.meta.url)), 'cri.proto');
  const definition = await protoLoader.load(protoPath, { keepCase: true, longs: Number });
  /** @type {any} */
  const loaded = grpc.loadPackageDefinition(definition);
  const client = new loaded.runtime.v1.RuntimeService(`unix://${socketPath}`, grpc.credentials.createInsecure());
  return {
    call: (method, request) =>
      new Promise((resolve, reject) => {
        client[method](
          request,
          { deadline: Date.now() + deadlineMs },
          (/** @type {any} */ error, /** @type {any} */ reply) => {
            if (error === null) return resolve(reply);
            reject(
              new LabError('LAB_REQUEST_FAILED', `${method} at ${socketPath}: ${error.message}`, {
                statusCode: error.code,
              }),
            );
          },
        );
      }),
    close: () => client.close(),
  };
}
