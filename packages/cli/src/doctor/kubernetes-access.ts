/** What a pod has to show to Kubernetes, and what it may do there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KubernetesTls } from '@crikit/metastore';
import type { CheckContext } from './check-task.js';
import { sendRequest } from './http-request.js';

export interface KubernetesAccess {
  /** URL without a slash at its end. */
  readonly server: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: KubernetesTls;
}

/** The API server of the cluster that this process runs in; undefined outside of one. Throws when there is no token. */
export function findApiServer({ environment, settings }: CheckContext): KubernetesAccess | undefined {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = environment;
  if (!host) return undefined;
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port || '443'}`,
    headers: { authorization: `Bearer ${readFile(join(settings.serviceAccountDirectory, 'token'))}` },
    tls: { ca: readFile(join(settings.serviceAccountDirectory, 'ca.crt')) },
  };
}

/** The kubelet of this node, with what the meta store would show to it. Throws when a file that was named cannot be read. */
export function findKubelet({ environment, settings }: CheckContext): KubernetesAccess {
  const { kubelet = {}, serviceAccountDirectory } = settings;
  const host = environment.NODE_IP || environment.HOST_IP || '127.0.0.1';
  const server = (kubelet.url ?? `https://${host.includes(':') ? `[${host}]` : host}:10250`).replace(/\/$/, '');
  // In plain text anyone may listen, and the read-only port asks for nothing.
  if (server.startsWith('http:')) return { server, headers: {}, tls: {} };
  const token = readNamed(kubelet.tokenFile, join(serviceAccountDirectory, 'token'));
  const ca = readNamed(kubelet.caFile, join(serviceAccountDirectory, 'ca.crt'));
  return {
    server,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    tls: {
      ...(ca === undefined ? {} : { ca }),
      ...(kubelet.certificateFile === undefined ? {} : { cert: readFile(kubelet.certificateFile) }),
      ...(kubelet.keyFile === undefined ? {} : { key: readFile(kubelet.keyFile) }),
      ...(kubelet.serverName === undefined ? {} : { servername: kubelet.serverName }),
      ...(kubelet.insecure === true ? { rejectUnauthorized: false } : {}),
    },
  };
}

function readNamed(named: string | undefined, otherwise: string): string | undefined {
  if (named !== undefined) return readFile(named);
  try {
    return readFile(otherwise);
  } catch {
    // A process of the node itself has none.
    return undefined;
  }
}

function readFile(path: string): string {
  const content = readFileSync(path, 'utf8').trim();
  if (content === '') throw new Error(`${path} is empty`);
  return content;
}

/** As the meta store finds it: option, NODE_NAME, else what the token says (Kubernetes 1.32 and newer). */
export function findNodeName({ environment, settings }: CheckContext): string | undefined {
  return settings.nodeName || environment.NODE_NAME || nodeNameOfToken(settings.serviceAccountDirectory);
}

function nodeNameOfToken(directory: string): string | undefined {
  try {
    const [, payload = ''] = readFile(join(directory, 'token')).split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as {
      'kubernetes.io'?: { node?: { name?: unknown } };
    };
    const name = claims['kubernetes.io']?.node?.name;
    return typeof name === 'string' ? name : undefined;
  } catch {
    return undefined;
  }
}

export interface ResourceRight {
  readonly verb: 'get' | 'list' | 'watch';
  readonly resource: 'pods' | 'nodes';
  readonly subresource?: 'pods' | 'proxy';
}

/** What the API server says that this process may do; undefined when it does not say. Rejects when it cannot be reached. */
export async function mayI(
  access: KubernetesAccess,
  right: ResourceRight,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const { status, body } = await sendRequest(`${access.server}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews`, {
    method: 'POST',
    headers: access.headers,
    tls: access.tls,
    signal,
    body: {
      kind: 'SelfSubjectAccessReview',
      apiVersion: 'authorization.k8s.io/v1',
      spec: { resourceAttributes: { version: 'v1', ...right } },
    },
  });
  const { status: review } = (typeof body === 'object' && body !== null ? body : {}) as {
    status?: { allowed?: unknown };
  };
  return status === 201 && typeof review?.allowed === 'boolean' ? review.allowed : undefined;
}
