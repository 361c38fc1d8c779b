/** Options of `containerd()`. */
export interface ContainerdOptions {
  /**
   * Path of the daemon's socket, as this process sees it; of several, the first that answers is used. Default: the
   * environment's CONTAINERD_SOCK and CONTAINERD_ADDRESS (lists, separated by commas), else the well-known paths of
   * containerd, k3s, k0s and microk8s below the host root.
   */
  readonly address?: string | readonly string[];
  /** The containerd namespaces to look at; the first is that of ids given without one. Default: `['k8s.io']`. */
  readonly namespaces?: readonly string[];
  /**
   * Folder for the pipes of execs, on a path that means the same to the daemon's shims; made where it is missing. It is
   * the path on the node: below a host root other than `/`, this process sees it there. Default: `fifo` beside the
   * socket, as other clients of containerd do it.
   */
  readonly fifoDirectory?: string;
}

export const DEFAULT_NAMESPACES: readonly string[] = ['k8s.io'];
