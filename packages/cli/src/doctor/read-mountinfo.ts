import { readFileSync } from 'node:fs';

export interface Mount {
  readonly mountPoint: string;
  readonly fileSystem: string;
  /** Options of the mount and of the file system. */
  readonly options: readonly string[];
  /** Whether mounts that are made on the node later show up here too. */
  readonly isPropagated: boolean;
}

/** Text of this process's table of mounts, which can be read however the mounted file systems are. */
export function readMountinfo(): string {
  return readFileSync('/proc/self/mountinfo', 'utf8');
}

/** The mount that is seen at exactly this place. */
export function findMountAt(mountPoint: string, mountinfo: string): Mount | undefined {
  return parseMounts(mountinfo).findLast((mount) => mount.mountPoint === mountPoint);
}

function parseMounts(mountinfo: string): readonly Mount[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [before, after] = line.split(' - ');
    const [, , , , point, mountOptions, ...tags] = before?.split(' ') ?? [];
    const [fileSystem, , fileSystemOptions] = after?.split(' ') ?? [];
    if (point === undefined || mountOptions === undefined || fileSystem === undefined) return [];
    return [
      {
        mountPoint: point.replace(/\\([0-7]{3})/g, (_, digits: string) =>
          String.fromCharCode(Number.parseInt(digits, 8)),
        ),
        fileSystem,
        options: [...mountOptions.split(','), ...(fileSystemOptions?.split(',') ?? [])],
        isPropagated: tags.some((tag) => /^(shared|master):/.test(tag)),
      },
    ];
  });
}
