/**
 * The part of a Kubernetes Node that crikit knows, by structure: any client's type that has these members fits.
 * https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/
 */
export interface KubernetesNode {
  readonly metadata?: {
    readonly name?: string;
    readonly uid?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly resourceVersion?: string;
    readonly creationTimestamp?: string | Date;
  };
  readonly spec?: {
    readonly podCIDR?: string;
    readonly providerID?: string;
    readonly unschedulable?: boolean;
    readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  };
  readonly status?: {
    readonly addresses?: readonly { readonly type: string; readonly address: string }[];
    readonly capacity?: Readonly<Record<string, string>>;
    readonly allocatable?: Readonly<Record<string, string>>;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly nodeInfo?: {
      readonly architecture: string;
      readonly containerRuntimeVersion: string;
      readonly kernelVersion: string;
      readonly kubeletVersion: string;
      readonly operatingSystem: string;
      readonly osImage: string;
    };
  };
}
