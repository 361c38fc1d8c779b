const shortLength = 12;

/** The first 12 characters of a container id; a scheme such as `docker://` is taken off first. */
export function shortContainerId(id: string): string {
  return stripContainerIdScheme(id).slice(0, shortLength);
}

/** `containerd://4f5e…` → `4f5e…`; an id without a scheme is returned as it is. */
export function stripContainerIdScheme(id: string): string {
  const end = id.indexOf('://');
  return end === -1 ? id : id.slice(end + 3);
}
