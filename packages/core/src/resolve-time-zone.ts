import { posix } from 'node:path';
import { nameFromContent, type ZoneContent } from './name-from-content.js';
import { isPosixFormForMusl, type PosixTz, readPosixTz } from './posix-tz.js';
import { hasTzifHeader, readTzif } from './read-tzif.js';
import { findLibc, readZoneFile, type TimeZoneRoot } from './time-zone-root.js';
import { type Libc, type TzInfo, UNKNOWN_TIME_ZONE, type ZoneTable } from './tz-info.js';
import { zoneAt } from './zone-at.js';
import { isZoneName, zoneNameByLinks } from './zone-name.js';
import { hashOf, zoneReference } from './zone-reference.js';
import { tableOfRule, tableOfTzif } from './zone-table.js';

export interface ResolveTimeZoneOptions {
  /** The instant of `zone` and `offset`. Default: now. */
  readonly at?: Date | number | string;
  /** The C library whose rules hold. Default: the one that the root shows, else glibc. */
  readonly libc?: Libc;
  /**
   * A directory of IANA's zone files on this process's own file system, to tell names by. Default:
   * `/usr/share/zoneinfo`. Where it is missing, Node's own data serve, which know offsets but no abbreviations.
   */
  readonly zoneinfoDirectory?: string;
}

/** See `at-first-use.ts`. */
export async function resolveTimeZone(
  root: TimeZoneRoot,
  env: Readonly<Record<string, string | undefined>>,
  options: ResolveTimeZoneOptions = {},
): Promise<TzInfo> {
  const found = options.libc ?? (await findLibc(root));
  const libc = found ?? 'glibc';
  const directories = zoneDirectories(libc, env);
  const envTz = env.TZ;
  const setting =
    libc === 'glibc' ? await readLikeGlibc(root, envTz, directories) : await readLikeMusl(root, envTz, directories);
  const isLocaltime = setting.content !== undefined && setting.path === localtimePath;
  const linked = await zoneNameByLinks(root, localtimePath, directories).catch((error: unknown) => {
    // Where TZ decides, the link is only shown.
    if (isLocaltime) throw error;
    return undefined;
  });

  let name = setting.name;
  if (setting.content !== undefined) {
    name = await nameFromContent(setting.content, {
      root,
      directories,
      nominal: isLocaltime ? linked : await zoneNameByLinks(root, setting.path, directories),
      hint: isLocaltime ? await readTimezoneHint(root) : undefined,
      reference: zoneReference(options.zoneinfoDirectory ?? '/usr/share/zoneinfo'),
    });
  }
  const etcLocaltime = linked ?? (isLocaltime ? name : undefined);

  const at = new Date(options.at ?? Date.now());
  const { abbreviation, offset } = zoneAt(setting.table, at);
  return Object.freeze({
    name: name ?? UNKNOWN_TIME_ZONE,
    ...(envTz !== undefined && { envTz }),
    ...(etcLocaltime !== undefined && { etcLocaltime }),
    zone: abbreviation,
    offset,
    at: at.toISOString(),
    libc,
    libcAssumed: found === undefined,
    ...setting.table,
  });
}

const localtimePath = '/etc/localtime';

/** Where the zone comes from: a file, or a rule (then `name` is known). */
type Setting =
  | { readonly content: ZoneContent; readonly path: string; readonly table: ZoneTable; readonly name?: undefined }
  | { readonly content?: undefined; readonly table: ZoneTable; readonly name: string };

const utc: Setting = {
  name: 'UTC',
  table: tableOfRule({ standard: { abbreviation: 'UTC', offset: 0, isDst: false } }),
};

function settingOfPosixTz({ rule, isValid }: PosixTz, text: string): Setting {
  return { name: isValid ? text : 'UTC', table: tableOfRule(rule) };
}

function zoneDirectories(libc: Libc, env: Readonly<Record<string, string | undefined>>): readonly string[] {
  if (libc === 'musl') return ['/usr/share/zoneinfo', '/share/zoneinfo', '/etc/zoneinfo'];
  return [posix.resolve('/', env.TZDIR || '/usr/share/zoneinfo')];
}

async function readLikeGlibc(
  root: TimeZoneRoot,
  envTz: string | undefined,
  directories: readonly string[],
): Promise<Setting> {
  // Set but empty is a zone by the name of Universal.
  const value = (envTz === '' ? 'Universal' : envTz)?.replace(/^:/, '') ?? localtimePath;
  if (value === '') return utc;
  const path = value.startsWith('/') ? value : `${directories[0]}/${value}`;
  const { bytes, table } = await readContent(root, path, 'glibc');
  if (bytes !== undefined && table !== undefined) return { content: { bytes, table }, path, table };
  return value === localtimePath ? utc : settingOfPosixTz(readPosixTz(value, 'glibc'), value);
}

// The longest name that musl looks for below its directories.
const longestMuslName = 255;

async function readLikeMusl(
  root: TimeZoneRoot,
  envTz: string | undefined,
  directories: readonly string[],
): Promise<Setting> {
  const value = envTz ?? localtimePath;
  if (value === '') return utc;
  if (!value.startsWith(':') && isPosixFormForMusl(value)) return settingOfPosixTz(readPosixTz(value, 'musl'), value);
  const name = value.replace(/^:/, '');
  let paths: string[] = [];
  // The working directory of the process is not known; that of most is the root.
  if (/^[/.]/.test(name)) paths = [posix.resolve('/', name)];
  else if (!name.includes('.') && Buffer.byteLength(name) <= longestMuslName)
    paths = directories.map((it) => `${it}/${name}`);
  for (const path of paths) {
    const { bytes, table } = await readContent(root, path, 'musl');
    if (bytes === undefined) continue;
    if (table !== undefined) return { content: { bytes, table }, path, table };
    // musl trusts the header; of a file that is cut off it then reads zeros.
    return hasTzifHeader(bytes) ? { name: 'UTC', table: namelessUtc } : utc;
  }
  return utc;
}

const namelessUtc = tableOfRule({ standard: { abbreviation: '', offset: 0, isDst: false } });

const mostSharedTables = 512;
const sharedTables = new Map<string, ZoneTable>();

async function readContent(
  root: TimeZoneRoot,
  path: string,
  libc: Libc,
): Promise<{ bytes?: Buffer; table?: ZoneTable }> {
  const bytes = await readZoneFile(root, path);
  if (bytes === undefined) return {};
  // Most containers of a node are in few zones: they share one table, instead of holding one each.
  const key = `${libc} ${hashOf(bytes)}`;
  let table = sharedTables.get(key);
  if (table === undefined) {
    const tzif = readTzif(bytes);
    if (tzif === undefined) return { bytes };
    table = tableOfTzif(tzif, libc);
    if (sharedTables.size >= mostSharedTables) sharedTables.clear();
    sharedTables.set(key, table);
  }
  return { bytes, table };
}

async function readTimezoneHint(root: TimeZoneRoot): Promise<string | undefined> {
  try {
    const text = await root.readFile('/etc/timezone', { maxBytes: 1024 });
    const [name = ''] = text.toString('latin1').trim().split(/\s/);
    return isZoneName(name) ? name : undefined;
  } catch {
    // No C library reads the file: whatever is wrong with it changes nothing.
    return undefined;
  }
}
