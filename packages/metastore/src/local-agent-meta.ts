import type { KubernetesNode, KubernetesPod, Pod } from '@crikit/core';

/**
 * Who the agent is, and where. From the environment as the downward API fills it, then from the agent's own pod and the
 * Node object; what nothing tells is absent.
 */
export interface LocalAgentMeta {
  /** `POD_NAMESPACE`. */
  readonly namespace?: string;
  /** `POD_NAME`. */
  readonly podName?: string;
  /** `POD_IP`, else that of the agent's pod. */
  readonly podIP?: string;
  /** The store's option `nodeName`, else `NODE_NAME`, else the name of `node`, else the node of the agent's pod. */
  readonly nodeName?: string;
  /** `NODE_IP`, else `HOST_IP`, else the internal IP of `node`, else the host IP of the agent's pod. */
  readonly nodeIP?: string;
  /**
   * The Node object, without `managedFields` and the list of images, kept up to date by a watch on that one node. Absent
   * until it was read, where the source of pods does not ask an API server, and without get, list and watch on nodes.
   */
  readonly node?: KubernetesNode;
  /**
   * Whether a pod is on this node: by `spec.nodeName`, and where the name of this node is not known by the host's IP. A
   * pod of the store that was made from containers is.
   */
  isLocalPod(pod: Pod | KubernetesPod): boolean;
}

export interface LocalAgentSources {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly nodeName: string | undefined;
  readonly node: KubernetesNode | undefined;
  readonly findPod: (namespace: string, name: string) => Pod | undefined;
}

export function describeLocalAgent({ environment, nodeName, node, findPod }: LocalAgentSources): LocalAgentMeta {
  const namespace = environment.POD_NAMESPACE || undefined;
  const podName = environment.POD_NAME || undefined;
  const own = namespace === undefined || podName === undefined ? undefined : findPod(namespace, podName);
  const name = nodeName || environment.NODE_NAME || node?.metadata?.name || own?.object?.spec?.nodeName;
  const internalIp = node?.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
  const values = {
    namespace,
    podName,
    podIP: environment.POD_IP || own?.ip,
    nodeName: name,
    nodeIP: environment.NODE_IP || environment.HOST_IP || internalIp || own?.hostIP,
    node,
  };
  const known = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Omit<
    LocalAgentMeta,
    'isLocalPod'
  >;
  return {
    ...known,
    isLocalPod: (pod) => {
      const object = 'uid' in pod ? pod.object : pod;
      if (object === undefined) return true;
      if (name !== undefined) return object.spec?.nodeName === name;
      return known.nodeIP !== undefined && object.status?.hostIP === known.nodeIP;
    },
  };
}
