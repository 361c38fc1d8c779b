export interface PodmanOptions {
  /**
   * Absolute path of the service's socket, as this process sees it. Default: `CONTAINER_HOST` of the environment, else
   * `/run/podman/podman.sock` below the host root, else `$XDG_RUNTIME_DIR/podman/podman.sock`.
   */
  readonly socketPath?: string;
}
