import type { PodSourceName } from '../command-context.js';
import type { Configuration } from '../read-configuration.js';

/** What the checks need of the command's options; plain data, sent to their processes. */
export interface CheckSettings {
  readonly hostRoot: string;
  /** Types of engines that were asked for; empty: all. */
  readonly engineTypes: readonly string[];
  /** Namespaces of containerd; empty: the engine package's default. */
  readonly containerdNamespaces: readonly string[];
  readonly pods: PodSourceName;
  readonly nodeName?: string;
  readonly kubeconfig?: string;
  readonly kubelet?: NonNullable<Configuration['kubelet']>;
  /** With the files `token` and `ca.crt`. */
  readonly serviceAccountDirectory: string;
  readonly agent?: { readonly url: string; readonly token?: string };
}

/** Where Kubernetes mounts the token and the CA of a pod's service account. */
export const defaultServiceAccountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';
