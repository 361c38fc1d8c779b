import { existsSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { delimiter, join } from 'node:path';
import {
  type ApiServerConnection,
  apiServerPods,
  type KubernetesCredentials,
  type KubernetesPodsOptions,
  type KubernetesTls,
  type PodSource,
  type PodSourceContext,
  PodSourceError,
} from '@crikit/metastore';
import type { KubeConfig } from '@kubernetes/client-node';

export interface KubeconfigPodsOptions extends KubernetesPodsOptions {
  /** Path of the file. Default: those that `KUBECONFIG` of the environment lists, else `~/.kube/config`. */
  readonly kubeconfig?: string;
  /** Name of the context. Default: the file's current one. */
  readonly context?: string;
  /** The node whose pods are followed: the one on which the store's engines run. */
  readonly nodeName: string;
}

/**
 * The pods of one node by list and watch on the API server that a kubeconfig names, for use outside a cluster. Tokens,
 * client certificates, exec plugins and OIDC are `@kubernetes/client-node`'s business, which is loaded when the store
 * starts. When there is no such file, context or cluster, `ready` rejects with a `PodSourceError` of code `UNSUPPORTED`.
 */
export function kubeconfigPods(options: KubeconfigPodsOptions): PodSource {
  return apiServerPods({ ...options, name: 'kubeconfig', connect: (context) => connectByKubeconfig(options, context) });
}

async function connectByKubeconfig(
  { kubeconfig, context, nodeName }: KubeconfigPodsOptions,
  { environment }: Pick<PodSourceContext, 'environment'>,
): Promise<ApiServerConnection> {
  const files = kubeconfig === undefined ? findKubeconfigs(environment) : [kubeconfig];
  const client = await import('@kubernetes/client-node');
  const [config, ...others] = files.map((file) => {
    const loaded = new client.KubeConfig();
    try {
      loaded.loadFromFile(file);
    } catch (cause) {
      throw new PodSourceError('UNSUPPORTED', `The kubeconfig ${file} cannot be read.`, {
        cause,
        remedy: 'Give the path of a kubeconfig by the option kubeconfig or by KUBECONFIG.',
      });
    }
    return loaded;
  });
  if (config === undefined) {
    throw new PodSourceError('UNSUPPORTED', 'There is no kubeconfig.', {
      remedy: 'Give its path by the option kubeconfig or by KUBECONFIG.',
    });
  }
  for (const other of others) config.mergeConfig(other, true);
  if (context !== undefined) {
    if (config.getContextObject(context) === null) {
      const names = config.getContexts().map(({ name }) => name);
      throw new PodSourceError('UNSUPPORTED', `${files.join(', ')} has no context '${context}'.`, {
        remedy: `It has ${names.join(', ') || 'none'}.`,
      });
    }
    config.setCurrentContext(context);
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new PodSourceError('UNSUPPORTED', `${files.join(', ')} has no current context with a cluster.`, {
      remedy: 'Name a context by the option context.',
    });
  }
  const isProxied = cluster.proxyUrl !== undefined && cluster.proxyUrl !== '';
  return { server: cluster.server, nodeName, credentials: () => readCredentials(config, isProxied) };
}

function findKubeconfigs({ KUBECONFIG, HOME }: PodSourceContext['environment']): readonly string[] {
  // As kubectl does: files that are listed and missing are passed over.
  if (KUBECONFIG) return KUBECONFIG.split(delimiter).filter((file) => file !== '' && existsSync(file));
  const file = join(HOME || '/root', '.kube', 'config');
  return existsSync(file) ? [file] : [];
}

/** Asks plugins and token files as often as their makers want it: the client keeps what has not expired. */
async function readCredentials(config: KubeConfig, isProxied: boolean): Promise<KubernetesCredentials> {
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const { ca, cert, key, passphrase, servername, rejectUnauthorized, auth, agent } = options;
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    if (typeof value === 'string') headers[name] = value;
  }
  if (auth !== undefined && auth !== null) {
    headers.authorization ??= `Basic ${Buffer.from(auth).toString('base64')}`;
  }
  const tls: KubernetesTls = {
    ...(isPem(ca) ? { ca } : {}),
    ...(isPem(cert) ? { cert } : {}),
    ...(isPem(key) ? { key } : {}),
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(servername === undefined ? {} : { servername }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  };
  // The client makes an agent for each call; only one that goes through a proxy does what ours does not.
  return { headers, tls, ...(isProxied && agent !== undefined && typeof agent === 'object' ? { agent } : {}) };
}

function isPem(value: unknown): value is string | Buffer {
  return typeof value === 'string' || Buffer.isBuffer(value);
}
