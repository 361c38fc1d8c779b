/**
 * Keeps us off file systems that a container can make hang for ever (FUSE and the network ones): a synchronous stat or
 * look-up there would freeze the process. Opening with O_PATH and /proc/self/fdinfo do not touch the file system, so
 * what they tell is checked before anything else is done with a descriptor.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { UnsupportedError } from './errors/unsupported-error.js';

export interface MountPlace {
  readonly mountId: number;
  /** As in mountinfo: `overlay`, `ext4`, `proc`, … */
  readonly fileSystem: string;
}

export interface MountGuard {
  /**
   * The mount that an O_PATH descriptor lies on. `parent` is that of the directory it was opened in; without one it is
   * a root. `path` is for messages, in latin1. Throws `UnsupportedError` for a file system that may hang, ESRCH when the
   * process whose mounts are looked at has ended.
   */
  placeOf(fd: number, parent: MountPlace | undefined, path: string): MountPlace;
}

// A list of what is allowed, since what may hang has no end (fuse.*, nfs, cifs, 9p, ceph, lustre, autofs, …).
const localFileSystems: ReadonlySet<string> = new Set([
  ...['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'zfs', 'f2fs', 'bcachefs', 'jfs', 'reiserfs', 'nilfs2'],
  ...['vfat', 'exfat', 'msdos', 'ntfs3', 'iso9660', 'udf', 'squashfs', 'erofs', 'cramfs'],
  ...['tmpfs', 'ramfs', 'rootfs', 'devtmpfs', 'hugetlbfs', 'devpts', 'mqueue'],
  ...['proc', 'sysfs', 'cgroup', 'cgroup2', 'bpf', 'tracefs', 'debugfs', 'securityfs', 'configfs', 'pstore', 'nsfs'],
]);

/** File systems whose files have no size and whose reads may be short before the end. */
const generatedFileSystems: ReadonlySet<string> = new Set([
  ...['proc', 'sysfs', 'cgroup', 'cgroup2', 'bpf', 'tracefs', 'debugfs', 'securityfs', 'configfs'],
]);

export function isGenerated({ fileSystem }: MountPlace): boolean {
  return generatedFileSystems.has(fileSystem);
}

/** Throws `UnsupportedError` where files and directories are switches of the kernel, not something to make or remove. */
export function requireStored(place: MountPlace): void {
  if (!isGenerated(place)) return;
  throw new UnsupportedError(`Nothing is made or removed on file systems of type ${place.fileSystem}.`, {
    applied: 'no',
  });
}

/** `mountInfoPath` is that of a process of the mount namespace in which the descriptors are opened. */
export function createMountGuard(mountInfoPath: string): MountGuard {
  return {
    placeOf(fd, parent, path) {
      const mountId = readMountId(fd);
      // The parent's descriptor keeps its mount, so the number cannot have been given to another one.
      if (parent?.mountId === mountId) return parent;
      // Read anew each time: a mount that has gone leaves its number to the next.
      const mount = findMount(readMountInfo(mountInfoPath), mountId);
      if (mount === undefined) {
        throw new UnsupportedError(
          `'${fromLatin1(path)}' lies on a mount that is not listed for the container any more.`,
          {
            applied: 'no',
            retryable: true,
          },
        );
      }
      const { fileSystem, device } = mount;
      const allowed =
        localFileSystems.has(fileSystem) ||
        // An overlay may have been put over a FUSE mount; a root's was made by the engine.
        (fileSystem === 'overlay' && (parent === undefined || isMountedHere(device)));
      if (!allowed) {
        throw new UnsupportedError(
          `'${fromLatin1(path)}' lies on a file system of type ${fileSystem}, which may hang and is not touched from the host.`,
          { applied: 'no', remedy: 'Read it with an exec.' },
        );
      }
      return { mountId, fileSystem };
    },
  };
}

const buffer = Buffer.alloc(1024);

function readMountId(fd: number): number {
  const info = openSync(`/proc/self/fdinfo/${fd}`, 'r');
  try {
    const text = buffer.toString('latin1', 0, readSync(info, buffer, 0, buffer.length, 0));
    const id = /^mnt_id:\s*(\d+)$/m.exec(text)?.[1];
    if (id === undefined) throw new UnsupportedError('This kernel does not tell the mount of a file.');
    return Number(id);
  } finally {
    closeSync(info);
  }
}

function readMountInfo(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    // EINVAL is what a zombie gives.
    const { code } = error as NodeJS.ErrnoException;
    throw code === 'EINVAL' || code === 'ENOENT'
      ? Object.assign(new Error('ended', { cause: error }), { code: 'ESRCH' })
      : error;
  }
}

function fromLatin1(path: string): string {
  return Buffer.from(path, 'latin1').toString();
}

interface Mount {
  /** `major:minor`. */
  readonly device: string;
  readonly fileSystem: string;
}

function findMount(mountInfo: string, mountId: number): Mount | undefined {
  const prefix = `${mountId} `;
  for (const line of mountInfo.split('\n')) {
    if (!line.startsWith(prefix)) continue;
    const device = line.split(' ', 3)[2];
    // Blanks in paths are escaped, so the first lone hyphen ends the optional fields.
    const fileSystem = /\s-\s(\S+)/.exec(line)?.[1];
    if (device !== undefined && fileSystem !== undefined) return { device, fileSystem };
  }
  return undefined;
}

function isMountedHere(device: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'latin1')
    .split('\n')
    .some((line) => line.split(' ', 3)[2] === device);
}
