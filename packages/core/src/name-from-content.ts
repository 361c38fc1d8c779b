import { entriesOf, readZoneFile, type TimeZoneRoot } from './time-zone-root.js';
import type { ZoneTable } from './tz-info.js';
import { isZoneName } from './zone-name.js';
import { COMPARE_FROM_SECONDS, type ZoneReference } from './zone-reference.js';

export interface ZoneContent {
  readonly bytes: Buffer;
  readonly table: ZoneTable;
}

export interface NameSources {
  readonly root: TimeZoneRoot;
  /** The container's directories of zone files. */
  readonly directories: readonly string[];
  /** The name by which the content was found. */
  readonly nominal: string | undefined;
  /** What `/etc/timezone` says. */
  readonly hint: string | undefined;
  readonly reference: ZoneReference;
}

// Corrections of IANA's data mostly concern the time before.
const recentSeconds = Date.UTC(2000, 0, 1) / 1000;

/**
 * The name of a zone by its content; undefined when it fits none. The order: the name by which it was found, the hint,
 * zones that are exactly like it, then again the name by which it was found (older data differ in the distant past),
 * last whatever the container's own directory calls it.
 */
export async function nameFromContent(content: ZoneContent, sources: NameSources): Promise<string | undefined> {
  const { reference, nominal, hint } = sources;
  const compare = (name: string, from: number) => reference.compare(name, content.table, from);

  // A zone that IANA does not know has no rules that the content could contradict.
  if (nominal !== undefined && (await compare(nominal, COMPARE_FROM_SECONDS)) !== 'different') return nominal;
  if (hint !== undefined) {
    if ((await compare(hint, COMPARE_FROM_SECONDS)) === 'same') return hint;
    if (
      hint !== nominal &&
      (await hasContent(sources, hint, content)) &&
      (await compare(hint, recentSeconds)) === 'same'
    )
      return hint;
  }

  const groups = await reference.namesLike(content.bytes, content.table);
  const alike = groups.map((names) => names.filter((name) => name !== nominal));
  const inContainer: string[] = [];
  for (const name of new Set(alike.flat().slice(0, mostChecked))) {
    if (await hasContent(sources, name, content)) inContainer.push(name);
  }
  for (const names of [inContainer, ...alike]) {
    const name = await reference.preferred(names, content.table);
    if (name !== undefined) return name;
  }

  if (nominal !== undefined && (await compare(nominal, recentSeconds)) === 'same') return nominal;

  const named: string[] = [];
  for (const name of await namesInContainer(sources, content)) {
    if (name !== nominal && (await compare(name, recentSeconds)) !== 'different') named.push(name);
  }
  return reference.preferred(named, content.table);
}

const mostChecked = 64;

async function hasContent({ root, directories }: NameSources, name: string, { bytes }: ZoneContent): Promise<boolean> {
  for (const directory of directories) {
    if (await hasBytes(root, `${directory}/${name}`, bytes)) return true;
  }
  return false;
}

/** False too for what cannot be read: it only costs the name. */
async function hasBytes(root: TimeZoneRoot, path: string, bytes: Buffer): Promise<boolean> {
  try {
    if ((await root.stat(path)).sizeBytes !== bytes.length) return false;
    return (await readZoneFile(root, path))?.equals(bytes) ?? false;
  } catch {
    return false;
  }
}

const mostScanned = 2_000;
const deepest = 3;

/** The names of files with this content in the container's directories of zone files. */
async function namesInContainer({ root, directories }: NameSources, { bytes }: ZoneContent): Promise<string[]> {
  const names: string[] = [];
  let scanned = 0;
  const scan = async (directory: string, prefix: string, depth: number): Promise<void> => {
    for (const { name: last, type } of await entriesOf(root, directory + prefix)) {
      const name = `${prefix}/${last}`.slice(1);
      if (!isZoneName(name) || name === 'posix' || name === 'right') continue;
      scanned += 1;
      if (scanned > mostScanned) return;
      if (type === 'directory') {
        if (depth < deepest) await scan(directory, `/${name}`, depth + 1);
      } else if (type === 'file' || type === 'symlink') {
        if (await hasBytes(root, `${directory}/${name}`, bytes)) names.push(name);
      }
    }
  };
  for (const directory of directories) await scan(directory, '', 1);
  return names;
}
