/**
 * Resolves a path inside a directory that somebody hostile works in at the same moment, as openat2 would with
 * RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS, which Node cannot call. Each part is opened by itself, without following,
 * in the directory that is held open; `..` goes back to one that is held and is never given to the kernel; the text of
 * a link is taken apart here. So there is no moment at which a swapped part leads elsewhere.
 *
 * Synchronous on purpose: resolving takes a few microseconds a part, and some 30 times that when each call goes through
 * the thread pool. The guard keeps off what could block.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  opendirSync,
  openSync,
  readlinkSync,
  type Stats,
} from 'node:fs';
import { UnsupportedError } from './errors/unsupported-error.js';
import { type MountGuard, type MountPlace, requireStored } from './mount-guard.js';

const { O_NOFOLLOW } = constants;
// Not among Node's constants.
const O_PATH = 0o10000000;

/** As many links as Linux follows in one path. */
const maxLinks = 40;
/** How often a part may turn into something else while it is looked at. */
const maxChanges = 40;
const maxHeldDirectories = 256;
/** Links can make a path of many thousand parts; this many take some ten milliseconds. */
const maxSteps = 1024;

/** What lies at a place instead of what the directory below it has there. */
export type MountedSource =
  | { readonly fd: number; readonly place: MountPlace; readonly readOnly: boolean }
  | { readonly unreachable: string };

export interface AnchoredBase {
  /** Of the directory that is the root; O_PATH is enough. */
  readonly fd: number;
  readonly place: MountPlace;
  readonly guard: MountGuard;
  /** By path in the root, in latin1, without a slash at the end. Empty where the kernel knows the mounts itself. */
  readonly mounts: ReadonlyMap<string, MountedSource>;
  /** Default: links are followed everywhere. Gets the path of the directory that holds the link, '' for the root. */
  readonly mayFollowLinkIn?: (directory: string) => boolean;
}

export interface OwnerIds {
  readonly uid: number;
  readonly gid: number;
}

export interface NewDirectory {
  readonly mode: number;
  /** As the host numbers them. */
  readonly owner: OwnerIds;
}

export interface WalkOptions {
  /** Whether a link at the end is followed. */
  readonly followLast: boolean;
  /** Missing directories on the way are made so. */
  readonly makeParents?: NewDirectory;
  /** Also the last part, when it is missing, is made a directory. */
  readonly makeLast?: NewDirectory;
}

export interface WalkedEntry {
  /** Opened with O_PATH: good for fstat, and by `/proc/self/fd/N` for all that takes a path. */
  readonly fd: number;
  readonly stats: Stats;
  readonly place: MountPlace;
}

export interface Walked {
  /** Where it ended, links resolved, in latin1; '' for the root. */
  readonly path: string;
  /** The directory that holds the last part; absent when the path leads to the root. */
  readonly parent?: { readonly fd: number; readonly place: MountPlace; readonly name: Buffer };
  /** Absent when the last part does not exist. */
  readonly entry?: WalkedEntry;
  /** On a mount that the engine made read-only. The kernel refuses by itself where it knows of that mount. */
  readonly readOnly: boolean;
  /** Something is mounted just there, so the name must not be replaced or removed. */
  readonly isMountPoint: boolean;
  close(): void;
}

interface Held extends WalkedEntry {
  readonly path: string;
  readonly name: Buffer;
  readonly readOnly: boolean;
  readonly isMountPoint: boolean;
}

/** A name in the directory that `fd` holds, for any function of node:fs that takes a path. */
export function reachName(fd: number, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), name]);
}

/** Opens a name for looking at it, whatever it is, without following it or waking it up. */
export function openInert(fd: number, name: Buffer): number {
  // Without O_DIRECTORY, which would make an automount point start its mount.
  return openSync(reachName(fd, name), O_PATH | O_NOFOLLOW);
}

/**
 * The caller closes what it gets. Throws errors of the system (ENOENT for what is missing on the way, ENOTDIR, ELOOP,
 * EACCES, …) and `UnsupportedError`; when it throws nothing is left open.
 */
export function walk(base: AnchoredBase, path: Buffer, options: WalkOptions): Walked {
  const held: Held[] = [];
  const pending = splitPath(path).reverse();
  const limitChanges = () => createLimit(maxChanges, 'EAGAIN', 'it changes all the time');
  let changes = limitChanges();
  const links = createLimit(maxLinks, 'ELOOP', `it leads through more than ${maxLinks} symbolic links`);
  const steps = createLimit(maxSteps, 'ELOOP', `it has more than ${maxSteps} parts`);
  let followed = 0;
  try {
    for (;;) {
      const name = pending.pop();
      if (name === undefined) return finish(base, held);
      steps();
      if (isDot(name)) continue;
      if (isDotDot(name)) {
        const left = held.pop();
        if (left !== undefined) closeSync(left.fd);
        continue;
      }
      const isLast = pending.length === 0;
      const opened = openPart(base, held.at(-1), name, followed > 0);
      if (opened === undefined) {
        const make = isLast ? options.makeLast : options.makeParents;
        if (make === undefined) {
          if (isLast) return finish(base, held, name);
          throw systemError('ENOENT', 'no such file or directory');
        }
        changes();
        makeDirectory(base, held.at(-1), name, make);
        pending.push(name);
        continue;
      }
      let keep = false;
      try {
        if (opened.stats.isSymbolicLink() && !(isLast && !options.followLast)) {
          const target = readTarget(base, held.at(-1), opened);
          if (target === undefined) {
            changes();
            pending.push(name);
            continue;
          }
          links();
          followed += 1;
          if (target[0] === slash) closeAll(held);
          pending.push(...splitPath(target).reverse());
          continue;
        }
        if (!opened.stats.isDirectory() && !isLast) throw systemError('ENOTDIR', 'not a directory');
        if (held.length >= maxHeldDirectories) {
          throw new UnsupportedError(`The path has more than ${maxHeldDirectories} levels.`, { applied: 'no' });
        }
        held.push(opened);
        keep = true;
        changes = limitChanges();
      } finally {
        if (!keep) closeSync(opened.fd);
      }
    }
  } catch (error) {
    closeAll(held);
    throw error;
  }
}

function openPart(base: AnchoredBase, above: Held | undefined, name: Buffer, afterLink: boolean): Held | undefined {
  const path = `${above?.path ?? ''}/${name.toString('latin1')}`;
  const mounted = base.mounts.size === 0 ? undefined : base.mounts.get(path);
  const place = above?.place ?? base.place;
  let fd: number;
  if (mounted === undefined) {
    try {
      fd = openInert(above?.fd ?? base.fd, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  } else {
    if ('unreachable' in mounted) throw new UnsupportedError(mounted.unreachable, { applied: 'no' });
    fd = openSync(`/proc/self/fd/${mounted.fd}`, O_PATH);
  }
  try {
    const found = mounted?.place ?? base.guard.placeOf(fd, place, path);
    // A container in the host's pid namespace could have us read of any process of the host what it may not itself.
    if (afterLink && found.fileSystem === 'proc' && place.fileSystem !== 'proc') {
      throw new UnsupportedError('A symbolic link leads into /proc; such links are not followed.', { applied: 'no' });
    }
    return {
      fd,
      path,
      name,
      place: found,
      stats: fstatSync(fd),
      readOnly: mounted?.readOnly ?? above?.readOnly ?? false,
      isMountPoint: mounted !== undefined || found.mountId !== place.mountId,
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Undefined when it is not a link any more. */
function readTarget(base: AnchoredBase, above: Held | undefined, link: Held): Buffer | undefined {
  const directory = above?.path ?? '';
  if (link.place.fileSystem === 'proc') {
    throw new UnsupportedError(
      `'${Buffer.from(link.path, 'latin1')}' is a symbolic link of /proc; such links are not followed.`,
      {
        applied: 'no',
      },
    );
  }
  if (base.mayFollowLinkIn?.(directory) === false) {
    throw new UnsupportedError(
      `'${Buffer.from(link.path, 'latin1')}' is a symbolic link that somebody else could have put there.`,
      {
        applied: 'no',
      },
    );
  }
  try {
    // By name and so perhaps of another link by now: its text is as little trusted as the first one's.
    return readlinkSync(reachName(above?.fd ?? base.fd, link.name), 'buffer');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EINVAL' || code === 'ENOENT') return undefined;
    throw error;
  }
}

function makeDirectory(base: AnchoredBase, above: Held | undefined, name: Buffer, { mode, owner }: NewDirectory): void {
  if (above?.readOnly === true) throw systemError('EROFS', 'read-only mount');
  requireStored(above?.place ?? base.place);
  const parent = above?.fd ?? base.fd;
  try {
    mkdirSync(reachName(parent, name), mode);
  } catch (error) {
    // Somebody was faster, or a dangling link is there; the walk looks again.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw error;
  }
  const fd = openInert(parent, name);
  try {
    base.guard.placeOf(fd, above?.place ?? base.place, name.toString('latin1'));
    const stats = fstatSync(fd);
    const isOwned = stats.uid === owner.uid && stats.gid === owner.gid;
    if (isOwned && (stats.mode & 0o7777) === mode) return;
    // It may have been swapped for a directory that is not ours to open to others; an empty one gives nothing away.
    if (!stats.isDirectory() || !isEmpty(fd)) throw systemError('EAGAIN', 'the new directory was replaced');
    if (!isOwned) chownSync(`/proc/self/fd/${fd}`, owner.uid, owner.gid);
    chmodSync(`/proc/self/fd/${fd}`, mode);
  } finally {
    closeSync(fd);
  }
}

function isEmpty(fd: number): boolean {
  const directory = opendirSync(`/proc/self/fd/${fd}`);
  try {
    return directory.readSync() === null;
  } finally {
    directory.closeSync();
  }
}

/** Keeps the last two descriptors (or the last and the missing name), closes the others. */
function finish(base: AnchoredBase, held: Held[], missing?: Buffer): Walked {
  const entry = missing === undefined ? held.pop() : undefined;
  if (entry === undefined && missing === undefined) {
    const fd = openSync(`/proc/self/fd/${base.fd}`, O_PATH);
    try {
      const root: WalkedEntry = { fd, stats: fstatSync(fd), place: base.place };
      return { path: '', entry: root, readOnly: false, isMountPoint: true, close: () => closeSync(fd) };
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }
  const above = held.pop();
  closeAll(held);
  const name = missing ?? entry?.name ?? Buffer.alloc(0);
  return {
    path: entry?.path ?? `${above?.path ?? ''}/${name.toString('latin1')}`,
    parent: { fd: above?.fd ?? base.fd, place: above?.place ?? base.place, name },
    ...(entry !== undefined && { entry }),
    readOnly: (entry ?? above)?.readOnly ?? false,
    isMountPoint: entry?.isMountPoint ?? false,
    close() {
      if (entry !== undefined) closeSync(entry.fd);
      if (above !== undefined) closeSync(above.fd);
    },
  };
}

const slash = 0x2f;
const dot = 0x2e;
const here = Buffer.from('.');

/** A slash at the end becomes a last part `.`: what is before it has to be a directory, and a link there is followed. */
function splitPath(path: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let start = 0;
  for (;;) {
    const end = path.indexOf(slash, start);
    if (end < 0) break;
    if (end > start) parts.push(path.subarray(start, end));
    start = end + 1;
  }
  parts.push(start < path.length ? path.subarray(start) : here);
  return parts;
}

function isDot(name: Buffer): boolean {
  return name.length === 1 && name[0] === dot;
}

function isDotDot(name: Buffer): boolean {
  return name.length === 2 && name[0] === dot && name[1] === dot;
}

function createLimit(times: number, code: string, reason: string): () => void {
  let left = times;
  return () => {
    left -= 1;
    if (left < 0) throw systemError(code, reason);
  };
}

export function systemError(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}

function closeAll(held: Held[]): void {
  for (const { fd } of held.splice(0)) closeSync(fd);
}
