/**
 * The part of a Kubernetes Pod that crikit reads, by structure: any client's type that has these members fits.
 * https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
 */
export interface KubernetesPod {
  readonly metadata?: {
    readonly name?: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly resourceVersion?: string;
    readonly generation?: number;
    readonly creationTimestamp?: string | Date;
    readonly deletionTimestamp?: string | Date;
    readonly ownerReferences?: readonly {
      readonly kind: string;
      readonly name: string;
      readonly uid: string;
      readonly controller?: boolean;
    }[];
  };
  readonly spec?: {
    readonly nodeName?: string;
    readonly hostname?: string;
    readonly hostNetwork?: boolean;
    readonly containers?: readonly KubernetesContainer[];
    readonly initContainers?: readonly KubernetesContainer[];
    readonly ephemeralContainers?: readonly KubernetesContainer[];
  };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly podIPs?: readonly { readonly ip?: string }[];
    readonly hostIP?: string;
    readonly containerStatuses?: readonly KubernetesContainerStatus[];
    readonly initContainerStatuses?: readonly KubernetesContainerStatus[];
    readonly ephemeralContainerStatuses?: readonly KubernetesContainerStatus[];
  };
}

export interface KubernetesContainer {
  readonly name: string;
  readonly image?: string;
  /** `Always` on an init container makes it a native sidecar. */
  readonly restartPolicy?: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
}

export interface KubernetesContainerStatus {
  readonly name: string;
  /** With a scheme, such as `containerd://4f5e…`; absent before the container exists. */
  readonly containerID?: string;
  readonly ready?: boolean;
  readonly restartCount?: number;
}
