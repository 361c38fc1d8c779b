import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ApiServerConnection, apiServerPods, type KubernetesPodsOptions } from './api-server-pods.js';
import { PodSourceError } from './errors/pod-source-error.js';
import type { PodSource, PodSourceContext } from './pod-source.js';

/** Where Kubernetes mounts the token and the CA of a pod's service account. */
export const serviceAccountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';

export interface InClusterPodsOptions extends KubernetesPodsOptions {
  /**
   * The node whose pods are followed. Default: `NODE_NAME` of the environment, else the node that the service account's
   * token names (Kubernetes 1.32 and newer).
   */
  readonly nodeName?: string;
  /** With the files `token` and `ca.crt`. Default: `/var/run/secrets/kubernetes.io/serviceaccount`. */
  readonly serviceAccountDirectory?: string;
}

/**
 * The pods of this node by list and watch on the API server of the cluster that this process runs in, with the pod's
 * service account; it needs get, list and watch on pods. Token and CA are read anew for each request, since they rotate.
 * Outside a cluster, and when the node's name cannot be found, `ready` rejects with a `PodSourceError` of code
 * `UNSUPPORTED`.
 */
export function inClusterPods(options: InClusterPodsOptions = {}): PodSource {
  return apiServerPods({ ...options, name: 'in-cluster', connect: (context) => connectInCluster(options, context) });
}

/** True when the environment says that this process runs in a cluster's pod. */
export function isInCluster(environment: PodSourceContext['environment']): boolean {
  return Boolean(environment.KUBERNETES_SERVICE_HOST);
}

export async function connectInCluster(
  options: InClusterPodsOptions,
  { environment }: Pick<PodSourceContext, 'environment'>,
): Promise<ApiServerConnection> {
  const host = environment.KUBERNETES_SERVICE_HOST;
  if (!host) {
    throw new PodSourceError('UNSUPPORTED', 'This process does not run in a Kubernetes pod.', {
      remedy: 'KUBERNETES_SERVICE_HOST is not set: use kubeconfigPods, kubeletPods or labelPods here.',
    });
  }
  const port = environment.KUBERNETES_SERVICE_PORT || '443';
  const directory = options.serviceAccountDirectory ?? serviceAccountDirectory;
  const credentials = async () => {
    const [token, ca] = await Promise.all([
      readServiceAccountFile(directory, 'token'),
      readServiceAccountFile(directory, 'ca.crt'),
    ]);
    return { headers: { authorization: `Bearer ${token}` }, tls: { ca } };
  };
  const nodeName =
    options.nodeName || environment.NODE_NAME || nodeNameOfToken(await readServiceAccountFile(directory, 'token'));
  if (nodeName === undefined) {
    throw new PodSourceError('UNSUPPORTED', 'The name of this node is not known.', {
      remedy: 'Set NODE_NAME by the downward API (fieldPath: spec.nodeName), or the option nodeName.',
    });
  }
  return { server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`, nodeName, credentials };
}

/** The content of one of the files, without white space around it. Rejects with a `PodSourceError` that may be retried. */
export async function readServiceAccountFile(directory: string, name: string): Promise<string> {
  const path = join(directory, name);
  let content: string;
  try {
    content = (await readFile(path, 'utf8')).trim();
  } catch (cause) {
    throw new PodSourceError('PERMISSION', `The service account's file ${path} cannot be read.`, {
      cause,
      remedy: 'Set automountServiceAccountToken: true for the pod, or mount a token there.',
    });
  }
  // Empty for an instant while it is being replaced by other means than the kubelet's.
  if (content === '') throw new PodSourceError('PERMISSION', `The service account's file ${path} is empty.`);
  return content;
}

/** Not verified: the token is our own, and the server verifies it. */
function nodeNameOfToken(token: string): string | undefined {
  try {
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as {
      'kubernetes.io'?: { node?: { name?: unknown } };
    };
    const name = claims['kubernetes.io']?.node?.name;
    return typeof name === 'string' ? name : undefined;
  } catch {
    return undefined;
  }
}
