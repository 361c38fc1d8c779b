import { posix } from 'node:path';
import { isNothingThere, type TimeZoneRoot } from './time-zone-root.js';

const longestZoneName = 100;
// Debian's names for the site's own zone and for the rule of POSIX strings without one.
const namesOfRoles = new Set(['localtime', 'posixrules']);

/** True for what can be the name of a zone file: `Asia/Shanghai`, `EST5EDT`, `Etc/GMT-8`. */
export function isZoneName(name: string): boolean {
  if (name.length > longestZoneName || namesOfRoles.has(name)) return false;
  return /^[A-Za-z][A-Za-z0-9+_-]*(\/[A-Za-z0-9+_-]+)*$/.test(name);
}

/** `/usr/share/zoneinfo/posix/Asia/Shanghai` → `Asia/Shanghai`; undefined for a path that names no zone. */
export function zoneNameOfPath(path: string, directories: readonly string[] = []): string | undefined {
  const clean = posix.normalize(path);
  const base = directories.map((directory) => posix.normalize(`${directory}/`)).find((it) => clean.startsWith(it));
  const marker = '/zoneinfo/';
  const at = clean.lastIndexOf(marker);
  const relative = at !== -1 ? clean.slice(at + marker.length) : base && clean.slice(base.length);
  const name = relative?.replace(/^(posix|right)\//, '');
  return name !== undefined && isZoneName(name) ? name : undefined;
}

const longestLinkChain = 40;

/** The first zone that a path, or the links that it is, name. */
export async function zoneNameByLinks(
  root: TimeZoneRoot,
  path: string,
  directories: readonly string[],
): Promise<string | undefined> {
  let current = posix.resolve('/', path);
  for (let hops = 0; hops <= longestLinkChain; hops += 1) {
    const name = zoneNameOfPath(current, directories);
    if (name !== undefined) return name;
    const target = await linkTarget(root, current);
    if (target === undefined) return undefined;
    current = posix.resolve(posix.dirname(current), target);
  }
  return undefined;
}

async function linkTarget(root: TimeZoneRoot, path: string): Promise<string | undefined> {
  try {
    const { type } = await root.stat(path, { followSymlinks: false });
    return type === 'symlink' ? await root.readLink(path) : undefined;
  } catch (error) {
    if (isNothingThere(error)) return undefined;
    throw error;
  }
}
