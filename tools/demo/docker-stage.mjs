// @ts-check
import {
  createKubeletStylePod,
  dockerRequest,
  ensureImages,
  IMAGES,
  removePodmanContainer,
  runPodmanContainer,
} from '../lab/lab.mjs';

/**
 * Containers on a Docker daemon, as a kubelet would make them, and on a private containerd and a private Podman, where
 * there are.
 * @param {Extract<import('./run-demo.mjs').DemoEngine, { kind: 'docker' }>} engine
 * @param {{ docker: typeof import('@crikit/engine-docker').docker, containerd: typeof import('@crikit/engine-containerd').containerd, podman: typeof import('@crikit/engine-podman').podman }} engines
 * @returns {Promise<import('./demo.mjs').Stage>}
 */
export async function createDockerStage({ endpoint, labStarted, containerd, podman }, engines) {
  const target = endpoint.replace(/^unix:\/\//, '');
  const before = new Set(await imageTags(target));
  await ensureImages({ endpoint: target });
  const docker = engines.docker(endpoint.startsWith('unix://') ? { socketPath: target } : { host: endpoint });
  const others = [
    engines.containerd(containerd === undefined ? {} : { address: containerd.socketPath }),
    engines.podman(podman === undefined ? {} : { socketPath: podman.socketPath }),
  ];
  /** @type {{ remove(): Promise<void> } | undefined} */
  let criPod;
  /** @type {Awaited<ReturnType<typeof createKubeletStylePod>> | undefined} */
  let pod;
  /** @type {string | undefined} */
  let podmanContainer;
  return {
    definitions: [docker, ...others],
    async createPod() {
      pod = await createKubeletStylePod(target, {
        namespace: 'shop',
        name: 'web-0',
        labels: { app: 'web' },
        containers: [{ name: 'main' }, { name: 'log-sidecar' }],
      });
      if (containerd !== undefined) {
        const { createCriPod } = await import('../lab/cri-pods.mjs');
        criPod = await createCriPod(containerd, {
          namespace: 'shop',
          name: 'cart-0',
          labels: { app: 'cart' },
          containers: [{ name: 'main' }, { name: 'mesh-sidecar' }],
        });
      }
      if (podman !== undefined) {
        podmanContainer = (await runPodmanContainer(podman, { name: 'price-list', env: { CURRENCY: 'EUR' } })).id;
      }
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
      if (podman !== undefined && podmanContainer !== undefined) await removePodmanContainer(podman, podmanContainer);
      await criPod?.remove();
      await pod?.remove();
      if (labStarted) return;
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
