/** Options of `pouch()`. */
export interface PouchOptions {
  /**
   * Path of the daemon's socket, as this process sees it. Default: the environment's POUCH_SOCK, else
   * /var/run/pouchd.sock below the host root.
   */
  readonly socketPath?: string;
  /**
   * Takes Kubernetes labels for true even when the container's name is not one that a kubelet gives. Anybody who may
   * choose an image can then make its containers look like those of a pod. Default: false.
   */
  readonly trustLabels?: boolean;
  /**
   * Offers the feature `archive`. Pouch's archive routes follow links and `..` out of a container: what runs in it can
   * make them read and write any file of the node. For nodes whose every container is trusted. Default: false, and
   * copying is left to other means.
   */
  readonly allowArchive?: boolean;
}
