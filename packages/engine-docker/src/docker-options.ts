/** Options of `docker()`. */
export interface DockerOptions {
  /**
   * Path of the daemon's socket, as this process sees it. Default: the environment's DOCKER_HOST and DOCKER_SOCK, else
   * the well-known paths below the host root.
   */
  readonly socketPath?: string;
  /** The daemon's endpoint as Docker writes it: `unix:///run/docker.sock`, `tcp://10.0.0.7:2375`. Not beside `socketPath`. */
  readonly host?: string;
  /**
   * Takes Kubernetes labels for true even when the container's name is not one that a kubelet gives. Anybody who may
   * choose an image can then make its containers look like those of a pod. Default: false.
   */
  readonly trustLabels?: boolean;
}
