// @ts-check
import { randomUUID } from 'node:crypto';
import { dockerRequest } from './docker-api.mjs';
import { IMAGES } from './images.mjs';
import { LabError } from './lab-error.mjs';
import { waitUntil } from './processes.mjs';

/**
 * @typedef {object} ContainerOptions
 * @property {string} [name] at least two characters; default: the daemon invents one
 * @property {string} [image] default `crikit-lab/busybox:1`
 * @property {readonly string[]} [cmd] default `['sleep', '1000000']`; not PID-1-proof on purpose: it ignores SIGTERM
 * @property {readonly string[]} [entrypoint]
 * @property {Readonly<Record<string, string>>} [labels] exactly these; none is added unless `labMark`
 * @property {boolean} [labMark] default false: adds the label `crikit.lab=1`
 * @property {Readonly<Record<string, string>>} [env]
 * @property {string} [hostname]
 * @property {string} [user]
 * @property {string} [workingDir]
 * @property {boolean} [tty]
 * @property {readonly string[]} [binds] `/host/path:/path[:ro]`
 * @property {readonly Readonly<Record<string, unknown>>[]} [mounts] HostConfig.Mounts, as in Docker's API
 * @property {string} [networkMode] default `none`; the daemons have no bridge, so besides it `host` and `container:<id>`
 * @property {string} [pidMode]
 * @property {string} [ipcMode]
 * @property {string} [cgroupParent] default: the daemon's own, which goes with the daemon
 * @property {Readonly<Record<string, unknown>>} [hostConfig] further members of HostConfig, which win
 * @property {boolean} [start] default true; false leaves it created
 */

/**
 * Creates and starts a container.
 * @param {import('./docker-api.mjs').DockerEndpoint} endpoint
 * @param {ContainerOptions} [options]
 * @returns {Promise<{ id: string, name: string, pid: number }>} `name` without a leading slash; `pid` is 0 when not
 *   started, and a pid of the daemon's pid namespace, not necessarily ours
 */
export async function runContainer(endpoint, options = {}) {
  const query = options.name === undefined ? '' : `?name=${encodeURIComponent(options.name)}`;
  const { Id: id } = await dockerRequest(endpoint, 'POST', `/containers/create${query}`, {
    body: {
      Image: options.image ?? IMAGES.busybox,
      Cmd: options.cmd ?? ['sleep', '1000000'],
      Entrypoint: options.entrypoint,
      Labels: { ...options.labels, ...(options.labMark ? { 'crikit.lab': '1' } : {}) },
      Env: Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`),
      Hostname: options.hostname,
      User: options.user,
      WorkingDir: options.workingDir,
      Tty: options.tty ?? false,
      OpenStdin: options.tty ?? false,
      HostConfig: {
        NetworkMode: options.networkMode ?? 'none',
        PidMode: options.pidMode,
        IpcMode: options.ipcMode,
        CgroupParent: options.cgroupParent,
        Binds: options.binds,
        Mounts: options.mounts,
        ...options.hostConfig,
      },
    },
  });
  if (options.start ?? true) {
    try {
      await dockerRequest(endpoint, 'POST', `/containers/${id}/start`);
    } catch (error) {
      await removeContainer(endpoint, id).catch(() => {});
      throw error;
    }
  }
  const detail = await dockerRequest(endpoint, 'GET', `/containers/${id}/json`);
  return { id, name: detail.Name.slice(1), pid: detail.State.Pid };
}

/**
 * Kills and removes a container with its anonymous volumes. One that is gone, or going, already is fine.
 * @param {import('./docker-api.mjs').DockerEndpoint} endpoint
 * @param {string} container id or name
 */
export async function removeContainer(endpoint, container) {
  try {
    await dockerRequest(endpoint, 'DELETE', `/containers/${container}?force=1&v=1`);
  } catch (error) {
    if (!(error instanceof LabError) || (error.statusCode !== 404 && error.statusCode !== 409)) throw error;
    // 409: somebody else's removal is in progress; callers may use the name again when we return.
    await waitUntil(async () => !(await exists(endpoint, container)), {
      timeoutMs: 10_000,
      what: `removal of ${container}`,
    });
  }
}

/**
 * @param {string} endpoint
 * @param {string} container
 */
async function exists(endpoint, container) {
  try {
    await dockerRequest(endpoint, 'GET', `/containers/${container}/json`);
    return true;
  } catch (error) {
    if (error instanceof LabError && error.statusCode === 404) return false;
    throw error;
  }
}

/**
 * @typedef {object} PodContainerOptions
 * @property {string} name the k8s container name
 * @property {string} [image] default `crikit-lab/busybox:1`
 * @property {readonly string[]} [cmd]
 * @property {Readonly<Record<string, string>>} [env]
 * @property {Readonly<Record<string, string>>} [labels] over the kubelet's own
 * @property {string} [user]
 * @property {string} [workingDir]
 * @property {boolean} [tty]
 * @property {readonly string[]} [binds]
 * @property {number} [attempt] restart count in the container's name, default 0
 * @property {boolean} [start] default true
 * @property {Readonly<Record<string, unknown>>} [hostConfig]
 */

/**
 * @typedef {object} KubeletStylePodOptions
 * @property {string} namespace
 * @property {string} name
 * @property {string} [uid] default: a random UUID
 * @property {readonly PodContainerOptions[]} [containers] default: none but the sandbox
 * @property {Readonly<Record<string, string>>} [labels] the pod's labels; the kubelet puts them on the sandbox only
 * @property {Readonly<Record<string, string>>} [annotations] go on the sandbox as `annotation.<key>`
 * @property {string} [hostname] default: the pod's name
 * @property {number} [attempt] of the sandbox, default 0
 * @property {string} [cgroupParent] default: the daemon's own
 */

/**
 * @typedef {object} KubeletStylePod
 * @property {string} namespace
 * @property {string} name
 * @property {string} uid
 * @property {string} sandboxId
 * @property {Record<string, string>} containers id by k8s container name, of the newest attempt
 * @property {(options: PodContainerOptions) => Promise<{ id: string, name: string, pid: number }>} addContainer starts one
 *   more container in the pod
 * @property {() => Promise<void>} remove removes the pod's containers, then its sandbox
 */

/**
 * Makes containers with the names, labels and namespaces that the kubelet gives them through cri-dockerd.
 * @param {import('./docker-api.mjs').DockerEndpoint} endpoint
 * @param {KubeletStylePodOptions} options
 * @returns {Promise<KubeletStylePod>}
 */
export async function createKubeletStylePod(endpoint, options) {
  const uid = options.uid ?? randomUUID();
  const podLabels = {
    'io.kubernetes.pod.name': options.name,
    'io.kubernetes.pod.namespace': options.namespace,
    'io.kubernetes.pod.uid': uid,
  };
  /** @type {(container: string, attempt: number) => string} */
  const containerName = (container, attempt) =>
    `k8s_${container}_${options.name}_${options.namespace}_${uid}_${attempt}`;
  const cgroupParent = options.cgroupParent === undefined ? {} : { cgroupParent: options.cgroupParent };

  const sandbox = await runContainer(endpoint, {
    ...cgroupParent,
    name: containerName('POD', options.attempt ?? 0),
    image: IMAGES.noShell,
    cmd: ['/bin/sleep', '1000000'],
    hostname: options.hostname ?? options.name,
    ipcMode: 'shareable',
    labels: {
      ...options.labels,
      ...Object.fromEntries(
        Object.entries(options.annotations ?? {}).map(([key, value]) => [`annotation.${key}`, value]),
      ),
      ...podLabels,
      'io.kubernetes.docker.type': 'podsandbox',
      'io.kubernetes.container.name': 'POD',
    },
  });
  const ids = [sandbox.id];

  /** @type {KubeletStylePod} */
  const pod = {
    namespace: options.namespace,
    name: options.name,
    uid,
    sandboxId: sandbox.id,
    containers: {},
    async addContainer({ name, attempt = 0, labels, ...rest }) {
      const container = await runContainer(endpoint, {
        ...cgroupParent,
        ...rest,
        name: containerName(name, attempt),
        networkMode: `container:${sandbox.id}`,
        ipcMode: `container:${sandbox.id}`,
        labels: {
          ...podLabels,
          'annotation.io.kubernetes.container.restartCount': String(attempt),
          'io.kubernetes.docker.type': 'container',
          'io.kubernetes.container.name': name,
          'io.kubernetes.container.logpath': `/var/log/pods/${options.namespace}_${options.name}_${uid}/${name}/${attempt}.log`,
          'io.kubernetes.sandbox.id': sandbox.id,
          ...labels,
        },
      });
      ids.push(container.id);
      pod.containers[name] = container.id;
      return container;
    },
    async remove() {
      for (const id of ids.reverse()) await removeContainer(endpoint, id);
      ids.length = 0;
    },
  };

  try {
    for (const container of options.containers ?? []) await pod.addContainer(container);
  } catch (error) {
    await pod.remove().catch(() => {});
    throw error;
  }
  return pod;
}
