/** How a socket came to be where this process sees it, read from the text of /proc/self/mountinfo: nothing is touched. */

export interface SocketMount {
  /** Where the mount is; the socket itself, or a directory above it. */
  readonly mountPoint: string;
  /** True when the socket alone is mounted rather than a directory: a new socket of that name will not be seen. */
  readonly isFile: boolean;
  /** True when what is mounted was deleted since: nobody listens behind it any more, whatever runs on the node. */
  readonly isDeleted: boolean;
}

/**
 * The mount that a path is on, by `mountinfo`, the text of `/proc/self/mountinfo`. Undefined for a path that is not
 * absolute, and when the text tells of no mount above it. Links are not followed, but for `/var/run`, which is nearly
 * everywhere a link to `/run`.
 */
export function findSocketMount(path: string, mountinfo: string): SocketMount | undefined {
  const names = [path, path.replace(/^(.*)\/var\/run\//, '$1/run/')];
  const found = [...new Set(names)].flatMap((name) => mountOf(name, mountinfo) ?? []);
  // The one that says most: a mount of the socket under either of its names.
  return found.find(({ isFile }) => isFile) ?? found.find(({ isDeleted }) => isDeleted) ?? found[0];
}

const deletedMark = '//deleted';

function mountOf(path: string, mountinfo: string): SocketMount | undefined {
  let best: SocketMount | undefined;
  for (const line of mountinfo.split('\n')) {
    const [, , , root, point] = line.split(' ').map(unescapeOctal);
    if (root === undefined || point === undefined || !isAtOrAbove(point, path)) continue;
    // A later line of the same place hides the earlier one.
    if (best !== undefined && point.length < best.mountPoint.length) continue;
    best = { mountPoint: point, isFile: point === path, isDeleted: root.endsWith(deletedMark) };
  }
  return best;
}

function isAtOrAbove(point: string, path: string): boolean {
  return point === path || path.startsWith(point === '/' ? '/' : `${point}/`);
}

/** The kernel writes blanks, tabs, newlines and backslashes of paths as three octal digits. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
