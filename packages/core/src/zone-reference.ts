import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { MAX_TZIF_BYTES, readTzif } from './read-tzif.js';
import type { ZoneTable } from './tz-info.js';
import { isZoneName } from './zone-name.js';
import { listChanges, tableOfTzif } from './zone-table.js';
import { typeAt } from './zone-type-at.js';

/** What this process itself knows about IANA's zones. */
export interface ZoneReference {
  /** Whether a zone has the offsets of IANA's zone of that name since `from` (Unix seconds). */
  compare(name: string, table: ZoneTable, from: number): Promise<'same' | 'different' | 'no such zone'>;
  /** Names of zones that are like a content, the closest likeness first: groups of equally good names. */
  namesLike(bytes: Uint8Array, table: ZoneTable): Promise<readonly (readonly string[])[]>;
  /** The name to show of several for one content. */
  preferred(names: readonly string[], table: ZoneTable): Promise<string | undefined>;
}

/** Where a comparison of zones begins and ends: what lies before 1970 differs between builds of the same data. */
export const COMPARE_FROM_SECONDS = 0;
export const COMPARE_TO_SECONDS = Date.UTC(2037, 0, 1) / 1000;
const beginningOfTime = -(2 ** 40);

const references = new Map<string, ZoneReference>();

/** Compares with the zone files in a directory of this process's own file system, and with Node's own data. */
export function zoneReference(directory: string): ZoneReference {
  let reference = references.get(directory);
  if (reference === undefined) {
    reference = createZoneReference(directory);
    references.set(directory, reference);
  }
  return reference;
}

function createZoneReference(directory: string): ZoneReference {
  const tables = new Map<string, Promise<ZoneTable | undefined>>();
  let index: Promise<ZoneIndex> | undefined;
  const indexOnce = () => {
    index ??= buildIndex(directory);
    return index;
  };

  const tableOf = (name: string) => {
    let table = tables.get(name);
    if (table === undefined) {
      table = readZone(directory, name).then((zone) => zone?.table);
      // Names come from containers: only those that exist are kept, so that made-up ones take no memory.
      void table.then((found) => found === undefined && tables.delete(name));
      tables.set(name, table);
    }
    return table;
  };

  return {
    async compare(name, table, from) {
      const known = await tableOf(name);
      if (known !== undefined && offsetKey(known, from) === offsetKey(table, from)) return 'same';
      // Two sources, as either may be older than the container's data.
      const byIntl = intlHasOffsets(name, table, from);
      if (byIntl === true) return 'same';
      return known === undefined && byIntl === undefined ? 'no such zone' : 'different';
    },
    async namesLike(bytes, table) {
      const { byBytes, byHistory, bySince1970, byOffsets } = await indexOnce();
      if (byBytes.size === 0) return [intlNamesLike(bytes, table)];
      return [
        byBytes.get(hashOf(bytes)) ?? [],
        byHistory.get(behaviourKey(table, beginningOfTime)) ?? [],
        bySince1970.get(behaviourKey(table, COMPARE_FROM_SECONDS)) ?? [],
        byOffsets.get(offsetKey(table, COMPARE_FROM_SECONDS)) ?? [],
      ];
    },
    async preferred(names, table) {
      const { rank } = await indexOnce();
      const abbreviation = table.types.length === 1 ? table.types[0]?.abbreviation : undefined;
      const order = (name: string) => rank.get(name) ?? (name === abbreviation ? 2 : 3);
      return [...names].sort(
        (left, right) => order(left) - order(right) || left.length - right.length || (left < right ? -1 : 1),
      )[0];
    },
  };
}

interface ZoneIndex {
  readonly byBytes: ReadonlyMap<string, readonly string[]>;
  readonly byHistory: ReadonlyMap<string, readonly string[]>;
  readonly bySince1970: ReadonlyMap<string, readonly string[]>;
  /** Abbreviations come and go with releases. Only zones whose offset changed: too many others share theirs. */
  readonly byOffsets: ReadonlyMap<string, readonly string[]>;
  /** 0: the zones that differ since 1970; 1: those of each country; absent: aliases. */
  readonly rank: ReadonlyMap<string, number>;
}

const mostIndexedFiles = 5_000;

async function buildIndex(directory: string): Promise<ZoneIndex> {
  const byBytes = new Map<string, string[]>();
  const byHistory = new Map<string, string[]>();
  const bySince1970 = new Map<string, string[]>();
  const byOffsets = new Map<string, string[]>();
  // Most names share their content with others; its keys are computed once.
  const keys = new Map<string, [history: string, since1970: string, offsets: string]>();
  for (const name of await zoneNamesIn(directory)) {
    const zone = await readZone(directory, name);
    if (zone === undefined) continue;
    const [history, since1970, offsets] = keys.get(zone.hash) ?? [
      behaviourKey(zone.table, beginningOfTime),
      behaviourKey(zone.table, COMPARE_FROM_SECONDS),
      offsetKey(zone.table, COMPARE_FROM_SECONDS),
    ];
    keys.set(zone.hash, [history, since1970, offsets]);
    addTo(byBytes, zone.hash, name);
    addTo(byHistory, history, name);
    addTo(bySince1970, since1970, name);
    if (offsets.includes(',')) addTo(byOffsets, offsets, name);
  }
  const rank = new Map<string, number>();
  for (const name of await namesInTable(join(directory, 'zone.tab'))) rank.set(name, 1);
  for (const name of await namesInTable(join(directory, 'zone1970.tab'))) rank.set(name, 0);
  return { byBytes, byHistory, bySince1970, byOffsets, rank };
}

function addTo(map: Map<string, string[]>, key: string, name: string): void {
  const names = map.get(key);
  if (names === undefined) map.set(key, [name]);
  else names.push(name);
}

async function zoneNamesIn(directory: string): Promise<string[]> {
  const names: string[] = [];
  const queue = [''];
  for (let prefix = queue.pop(); prefix !== undefined; prefix = queue.pop()) {
    const entries = await readdir(join(directory, prefix), { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const name = prefix + entry.name;
      if (!isZoneName(name) || name === 'posix' || name === 'right') continue;
      if (entry.isDirectory()) queue.push(`${name}/`);
      else if (names.push(name) >= mostIndexedFiles) return names;
    }
  }
  return names;
}

async function readZone(directory: string, name: string): Promise<{ hash: string; table: ZoneTable } | undefined> {
  if (!isZoneName(name)) return undefined;
  const path = join(directory, name);
  try {
    const status = await stat(path);
    if (!status.isFile() || status.size > MAX_TZIF_BYTES) return undefined;
    const bytes = await readFile(path);
    const tzif = readTzif(bytes);
    return tzif && { hash: hashOf(bytes), table: tableOfTzif(tzif, 'glibc') };
  } catch {
    // No zone of that name here, for whatever reason: there is still what Node knows.
    return undefined;
  }
}

async function namesInTable(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => (line.startsWith('#') ? [] : (line.split('\t')[2] ?? [])));
}

export function hashOf(bytes: Uint8Array): string {
  return process.getBuiltinModule('node:crypto').createHash('sha256').update(bytes).digest('base64');
}

// The `right/` files are ahead by the leap seconds, fewer than a minute.
function minuteOf(seconds: number): number {
  return Math.floor(seconds / 60);
}

function offsetKey(table: ZoneTable, from: number): string {
  let previous: number | undefined;
  return listChanges(table, from, COMPARE_TO_SECONDS)
    .flatMap(({ at, type }) => {
      if (type.offset === previous) return [];
      previous = type.offset;
      return `${minuteOf(at)} ${type.offset}`;
    })
    .join();
}

function behaviourKey(table: ZoneTable, from: number): string {
  const changes = listChanges(table, from, COMPARE_TO_SECONDS);
  return hashOf(
    Buffer.from(
      changes.map(({ at, type }) => `${minuteOf(at)} ${type.offset} ${type.isDst} ${type.abbreviation}`).join(),
    ),
  );
}

/** Undefined when Node knows no zone of that name. */
function intlHasOffsets(name: string, table: ZoneTable, from: number): boolean | undefined {
  const offsetAt = intlOffset(name);
  return offsetAt && checkInstants(table, from).every((at) => offsetAt(at) === typeAt(table, at).offset);
}

const quarterSeconds = 7_889_400;

/** Both sides of every change and each quarter of a year, the latest first, as zones differ most there. */
function checkInstants(table: ZoneTable, from: number): number[] {
  const instants = listChanges(table, from, COMPARE_TO_SECONDS).flatMap(({ at }) => [at, Math.max(from, at - 60)]);
  for (let at = from; at < COMPARE_TO_SECONDS; at += quarterSeconds) instants.push(at);
  return instants.sort((left, right) => right - left);
}

function intlOffset(timeZone: string): ((seconds: number) => number) | undefined {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset', year: 'numeric' });
  } catch {
    return undefined;
  }
  return (seconds) => {
    const match = /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(format.format(seconds * 1000));
    const [, sign, hours = 0, minutes = 0, rest = 0] = match ?? [];
    const size = Number(hours) * 3600 + Number(minutes) * 60 + Number(rest);
    return sign === '-' ? -size : size;
  };
}

const intlNames = new Map<string, readonly string[]>();
const mostRememberedContents = 256;

/** Without zone files here: the zones of Node with these offsets since 1970. Takes tens of milliseconds. */
function intlNamesLike(bytes: Uint8Array, table: ZoneTable): readonly string[] {
  const key = hashOf(bytes);
  const remembered = intlNames.get(key);
  if (remembered !== undefined) return remembered;
  const only = table.types.length === 1 && table.rule === undefined ? table.types[0] : undefined;
  // By offsets alone, half of West Africa is UTC.
  const names =
    only?.offset === 0 && isZoneName(only.abbreviation)
      ? [only.abbreviation]
      : Intl.supportedValuesOf('timeZone')
          .filter((name) => intlHasOffsets(name, table, COMPARE_FROM_SECONDS))
          .map((name) => namesSinceRenamed[name] ?? name);
  if (intlNames.size >= mostRememberedContents) intlNames.clear();
  intlNames.set(key, names);
  return names;
}

/** ICU lists some zones by names that IANA has given up. */
const namesSinceRenamed: Readonly<Record<string, string>> = {
  'Africa/Asmera': 'Africa/Asmara',
  'America/Buenos_Aires': 'America/Argentina/Buenos_Aires',
  'America/Catamarca': 'America/Argentina/Catamarca',
  'America/Coral_Harbour': 'America/Atikokan',
  'America/Cordoba': 'America/Argentina/Cordoba',
  'America/Godthab': 'America/Nuuk',
  'America/Indianapolis': 'America/Indiana/Indianapolis',
  'America/Jujuy': 'America/Argentina/Jujuy',
  'America/Louisville': 'America/Kentucky/Louisville',
  'America/Mendoza': 'America/Argentina/Mendoza',
  'Asia/Calcutta': 'Asia/Kolkata',
  'Asia/Katmandu': 'Asia/Kathmandu',
  'Asia/Rangoon': 'Asia/Yangon',
  'Asia/Saigon': 'Asia/Ho_Chi_Minh',
  'Atlantic/Faeroe': 'Atlantic/Faroe',
  'Europe/Kiev': 'Europe/Kyiv',
  'Pacific/Enderbury': 'Pacific/Kanton',
  'Pacific/Ponape': 'Pacific/Pohnpei',
  'Pacific/Truk': 'Pacific/Chuuk',
};
