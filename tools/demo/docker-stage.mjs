// @ts-check
import { createKubeletStylePod, dockerRequest, ensureImages, IMAGES } from '../lab/lab.mjs';

/**
 * Containers on a Docker daemon, as a kubelet would make them.
 * @param {string} endpoint `unix://…` or `tcp://…`
 * @param {typeof import('@crikit/engine-docker').docker} docker
 * @param {boolean} isPrivate whether the daemon ends with the demo; on somebody's own nothing is left behind
 * @returns {Promise<import('./demo.mjs').Stage>}
 */
export async function createDockerStage(endpoint, docker, isPrivate) {
  const target = endpoint.replace(/^unix:\/\//, '');
  const before = new Set(await imageTags(target));
  await ensureImages({ endpoint: target });
  /** @type {Awaited<ReturnType<typeof createKubeletStylePod>> | undefined} */
  let pod;
  return {
    definition: docker(endpoint.startsWith('unix://') ? { socketPath: target } : { host: endpoint }),
    async createPod() {
      pod = await createKubeletStylePod(target, {
        namespace: 'shop',
        name: 'web-0',
        labels: { app: 'web' },
        containers: [{ name: 'main' }, { name: 'log-sidecar' }],
      });
      return pod;
    },
    async startContainer() {
      if (pod === undefined) throw new Error('the pod comes first');
      return (await pod.addContainer({ name: 'worker' })).id;
    },
    async killContainer(id) {
      await dockerRequest(target, 'POST', `/containers/${id}/kill?signal=KILL`);
    },
    async remove() {
      await pod?.remove();
      if (isPrivate) return;
      for (const tag of Object.values(IMAGES)) {
        if (!before.has(tag)) await dockerRequest(target, 'DELETE', `/images/${tag}`).catch(() => {});
      }
    },
  };
}

/** @param {string} target */
async function imageTags(target) {
  /** @type {{ RepoTags: string[] | null }[]} */
  const images = await dockerRequest(target, 'GET', '/images/json');
  return images.flatMap((image) => image.RepoTags ?? []);
}
