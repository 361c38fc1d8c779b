// @ts-check
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createCriClient } from './cri-client.mjs';
import { IMAGES } from './images.mjs';
import { waitUntil } from './processes.mjs';

const nodeNamespace = 2;

/**
 * @typedef {object} CriContainerOptions
 * @property {string} name
 * @property {string} [image] default `crikit-lab/busybox:1`
 * @property {readonly string[]} [cmd] default `['sleep', '1000000']`
 * @property {Readonly<Record<string, string>>} [env]
 * @property {string} [workingDir]
 * @property {readonly { source: string, destination: string, readOnly?: boolean }[]} [mounts]
 * @property {number} [uid] user of the main process; default the image's
 * @property {boolean} [tty]
 * @property {boolean} [start] default true
 */

/**
 * @typedef {object} CriPodOptions
 * @property {string} [namespace] default `default`
 * @property {string} name
 * @property {string} [uid] default a new one
 * @property {readonly CriContainerOptions[]} containers
 * @property {Readonly<Record<string, string>>} [labels] the pod's own
 * @property {Readonly<Record<string, string>>} [annotations]
 */

/**
 * @typedef {object} CriPod
 * @property {string} uid
 * @property {string} sandboxId
 * @property {Readonly<Record<string, string>>} containers ids by name
 * @property {(container: CriContainerOptions) => Promise<string>} addContainer gives its id
 * @property {(name: string) => Promise<unknown>} stopContainer kills it
 * @property {(name: string) => Promise<unknown>} removeContainer once its end is known
 * @property {() => Promise<void>} remove
 */

/**
 * Makes a pod as a kubelet does, through the CRI of a lab's containerd: on the node's network, without a hostname of its
 * own, in the daemon's control group.
 * @param {{ socketPath: string, directory: string, cgroup: string }} daemon a daemon, or its entry in the lab's state
 * @param {CriPodOptions} options
 * @returns {Promise<CriPod>}
 */
export async function createCriPod(daemon, options) {
  const { namespace = 'default', name, uid = randomUUID(), labels = {}, annotations = {} } = options;
  const cri = await createCriClient(daemon.socketPath);
  const podLabels = {
    'io.kubernetes.pod.name': name,
    'io.kubernetes.pod.namespace': namespace,
    'io.kubernetes.pod.uid': uid,
  };
  const logDirectory = join(daemon.directory, 'pod-logs', `${namespace}_${name}_${uid}`);
  mkdirSync(logDirectory, { recursive: true });
  const sandboxConfig = {
    metadata: { name, uid, namespace, attempt: 0 },
    log_directory: logDirectory,
    labels: { ...labels, ...podLabels },
    annotations,
    linux: {
      cgroup_parent: `${daemon.cgroup}/kubepods/pod${uid}`,
      security_context: { namespace_options: { network: nodeNamespace, pid: 1 } },
    },
  };
  /** @type {Record<string, string>} */
  const containers = {};
  /** @type {string | undefined} */
  let sandboxId;

  /** @param {CriContainerOptions} container */
  const addContainer = async (container) => {
    mkdirSync(join(logDirectory, container.name), { recursive: true });
    const { container_id: id } = await cri.call('CreateContainer', {
      pod_sandbox_id: sandboxId,
      sandbox_config: sandboxConfig,
      config: {
        metadata: { name: container.name, attempt: 0 },
        image: { image: `docker.io/${container.image ?? IMAGES.busybox}` },
        command: container.cmd ?? ['sleep', '1000000'],
        working_dir: container.workingDir ?? '',
        envs: Object.entries(container.env ?? {}).map(([key, value]) => ({ key, value })),
        mounts: (container.mounts ?? []).map(({ source, destination, readOnly = false }) => ({
          container_path: destination,
          host_path: source,
          readonly: readOnly,
        })),
        labels: { ...podLabels, 'io.kubernetes.container.name': container.name },
        log_path: `${container.name}/0.log`,
        tty: container.tty ?? false,
        linux: {
          security_context: {
            namespace_options: { network: nodeNamespace, pid: 1 },
            ...(container.uid === undefined ? {} : { run_as_user: { value: container.uid } }),
          },
        },
      },
    });
    containers[container.name] = id;
    if (container.start !== false) await cri.call('StartContainer', { container_id: id });
    return id;
  };

  const remove = async () => {
    if (sandboxId !== undefined) {
      await cri.call('StopPodSandbox', { pod_sandbox_id: sandboxId });
      await cri.call('RemovePodSandbox', { pod_sandbox_id: sandboxId });
    }
    cri.close();
  };

  try {
    sandboxId = (await cri.call('RunPodSandbox', { config: sandboxConfig })).pod_sandbox_id;
    for (const container of options.containers) await addContainer(container);
  } catch (error) {
    await remove().catch(() => {});
    throw error;
  }
  return {
    uid,
    sandboxId: /** @type {string} */ (sandboxId),
    containers,
    addContainer,
    stopContainer: (container) => cri.call('StopContainer', { container_id: containers[container], timeout: 0 }),
    removeContainer: (container) =>
      waitUntil(
        async () => {
          try {
            await cri.call('RemoveContainer', { container_id: containers[container] });
            return true;
          } catch (error) {
            // The CRI hears of a container's end later than others.
            if (error instanceof Error && /is still running/.test(error.message)) return false;
            throw error;
          }
        },
        { timeoutMs: 10_000, what: `removing container ${container}` },
      ),
    remove,
  };
}
