/** The few files that decide a time zone, fetched by one exec of a constant script. */
import {
  type DirectoryEntry,
  type ExecRequest,
  type ExecResult,
  type FileType,
  InvalidArgumentError,
  PathNotFoundError,
  ProtocolError,
  type TimeZoneRoot,
  TooLargeError,
} from '@crikit/core';

/** Of each path: `path`, what it is, then what is in it; a file's content is counted, since it may hold anything. */
const script = `
for path in "$@"; do
  printf 'path %s\\n' "$path"
  if [ -L "$path" ]; then printf 'link %s\\n' "$(readlink "$path")"; fi
  if [ -f "$path" ]; then
    size=$(($(wc -c < "$path")))
    if [ "$size" -le 131072 ]; then printf 'file %d\\n' "$size"; cat "$path"; echo; else printf 'large %d\\n' "$size"; fi
  elif [ -d "$path" ]; then
    for entry in "$path"/*; do printf 'entry %s\\n' "\${entry##*/}"; done
  fi
done
echo end
`;

interface Found {
  link?: string;
  content?: Buffer;
  sizeBytes?: number;
  entries?: string[];
}

/**
 * What `resolveTimeZone` needs of a container that cannot be looked into from the host, by one exec of `sh`. `env` is the
 * container's. Rejects as `exec` does (`COMMAND_NOT_FOUND` where there is no shell), and with `PROTOCOL` when the
 * container's programs do not do what they should.
 */
export async function readTimeZoneRootByExec(
  exec: (request: ExecRequest) => Promise<ExecResult>,
  env: Readonly<Record<string, string>>,
): Promise<TimeZoneRoot> {
  const paths = pathsOf(env);
  const { stdout, exitCode } = await exec({
    cmd: ['sh', '-c', script, 'sh', ...paths],
    maxOutputBytes: 1024 ** 2,
  });
  return createRoot(parse(stdout, new Set(paths), exitCode));
}

function pathsOf(env: Readonly<Record<string, string>>): string[] {
  const paths = ['/lib', '/lib64', '/etc/localtime', '/etc/timezone'];
  const zone = env.TZ?.replace(/^:/, '') ?? '';
  if (zone.startsWith('/')) paths.push(zone);
  // An empty one is the zone `Universal` for glibc.
  const name = env.TZ === '' ? 'Universal' : zone;
  if (name !== '' && !name.startsWith('/') && name.length < 256) {
    for (const directory of [env.TZDIR, '/usr/share/zoneinfo', '/share/zoneinfo', '/etc/zoneinfo']) {
      if (directory?.startsWith('/') === true) paths.push(`${directory}/${name}`);
    }
  }
  return paths;
}

function parse(output: Buffer, paths: ReadonlySet<string>, exitCode: number): ReadonlyMap<string, Found> {
  const found = new Map<string, Found>();
  let current: Found | undefined;
  let at = 0;
  for (;;) {
    const end = output.indexOf('\n', at);
    if (end === -1) throw brokenOff(exitCode);
    const [, word, rest] = /^(\S*) ?(.*)$/s.exec(output.toString('utf8', at, end)) as unknown as [
      string,
      string,
      string,
    ];
    at = end + 1;
    if (word === 'end') return found;
    if (word === 'path' && paths.has(rest)) {
      current = {};
      found.set(rest, current);
    } else if (current === undefined) {
    } else if (word === 'link') {
      current.link = rest;
    } else if (word === 'large') {
      current.sizeBytes = Number(rest);
    } else if (word === 'entry') {
      current.entries ??= [];
      current.entries.push(rest);
    } else if (word === 'file') {
      const size = Number(rest);
      if (!/^\d+$/.test(rest) || at + size > output.length) throw brokenOff(exitCode);
      current.content = Buffer.from(output.subarray(at, at + size));
      current.sizeBytes = size;
      at += size + 1;
    }
  }
}

function brokenOff(exitCode: number): ProtocolError {
  return new ProtocolError(`What the container's shell wrote is not whole (exit code ${exitCode}).`);
}

function createRoot(found: ReadonlyMap<string, Found>): TimeZoneRoot {
  const at = (path: string | Uint8Array): Found => {
    const entry = found.get(typeof path === 'string' ? path : Buffer.from(path).toString());
    if (entry === undefined) {
      throw new PathNotFoundError(`'${String(path)}' is not among the files that were fetched.`, { applied: 'no' });
    }
    return entry;
  };
  return {
    stat: async (path, { followSymlinks = true } = {}) => {
      const entry = at(path);
      const type = typeOf(entry, followSymlinks);
      if (type === undefined) throw new PathNotFoundError(`'${String(path)}' leads nowhere.`, { applied: 'no' });
      return { type, sizeBytes: entry.sizeBytes ?? 0, mode: 0o644, uid: 0, gid: 0, modifiedMs: 0 };
    },
    readLink: async (path) => {
      const { link } = at(path);
      if (link === undefined) throw new InvalidArgumentError(`'${String(path)}' is no link.`);
      return link;
    },
    readFile: async (path) => {
      const { content } = at(path);
      if (content === undefined) throw new TooLargeError(`'${String(path)}' was not fetched.`);
      return content;
    },
    readDir: async (path) =>
      (at(path).entries ?? []).map((name): DirectoryEntry => ({ name, rawName: Buffer.from(name), type: 'file' })),
  };
}

function typeOf({ link, sizeBytes, entries }: Found, followSymlinks: boolean): FileType | undefined {
  if (link !== undefined && !followSymlinks) return 'symlink';
  if (sizeBytes !== undefined) return 'file';
  return entries === undefined ? undefined : 'directory';
}
