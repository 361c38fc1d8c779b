import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasTzifHeader, MAX_TZIF_BYTES, readTzif } from './read-tzif.js';
import type { Libc } from './tz-info.js';
import { zoneAt } from './zone-at.js';
import { listChanges, tableOfTzif } from './zone-table.js';

const slim = readFileSync(join(import.meta.dirname, '__fixtures__/new-york-slim.tzif'));

/** A file of version 1: the header and 32-bit block alone. */
function versionOne(transitions: readonly number[]): Buffer {
  const header = Buffer.alloc(44);
  header.write('TZif');
  header.writeUInt32BE(transitions.length, 32);
  header.writeUInt32BE(2, 36);
  header.writeUInt32BE(8, 40);
  const times = Buffer.alloc(transitions.length * 4);
  for (const [index, at] of transitions.entries()) times.writeInt32BE(at, index * 4);
  const indexes = Buffer.from(transitions.map((_, index) => (index + 1) % 2));
  const types = Buffer.alloc(12);
  types.writeInt32BE(3600, 0);
  types.writeInt32BE(7200, 6);
  types[10] = 1;
  types[11] = 4;
  return Buffer.concat([header, times, indexes, types, Buffer.from('STD\0DST\0')]);
}

describe('readTzif', () => {
  it('reads the 64-bit block and the footer', () => {
    const tzif = readTzif(slim);

    expect(tzif?.footer).toBe('EST5EDT,M3.2.0,M11.1.0');
    expect(tzif?.transitions).toHaveLength(175);
    expect(tzif?.types[0]).toEqual({ abbreviation: 'LMT', offset: -17762, isDst: false });
    expect(tzif?.transitions[0]).toBe(-2717650800);
  });

  it('reads files of version 1', () => {
    const tzif = readTzif(versionOne([-5, 1000]));

    expect(tzif).toEqual({
      transitions: [-5, 1000],
      transitionTypes: [1, 0],
      types: [
        { abbreviation: 'STD', offset: 3600, isDst: false },
        { abbreviation: 'DST', offset: 7200, isDst: true },
      ],
    });
  });

  it('refuses transitions that go back, types that are not there and counts beyond the file', () => {
    expect(readTzif(versionOne([1000, -5]))).toBeUndefined();
    const wrongType = versionOne([1]);
    wrongType[48] = 2;
    expect(readTzif(wrongType)).toBeUndefined();
    const endless = versionOne([1]);
    endless.writeUInt32BE(0xffffffff, 32);
    expect(readTzif(endless)).toBeUndefined();
    expect(readTzif(versionOne(Array.from({ length: 2_001 }, (_, index) => index)))).toBeUndefined();
    expect(readTzif(Buffer.concat([slim, Buffer.alloc(MAX_TZIF_BYTES)]))).toBeUndefined();
  });

  it('refuses every file that is cut off before its footer', () => {
    const footerStart = slim.lastIndexOf('\nEST5EDT');
    for (let length = 0; length < footerStart; length += 1) expect(readTzif(slim.subarray(0, length))).toBeUndefined();
    expect(readTzif(slim.subarray(0, footerStart + 4))).not.toHaveProperty('footer');
  });

  it('reads a part of a larger buffer', () => {
    const padded = Buffer.concat([Buffer.alloc(3), slim, Buffer.alloc(3)]);
    expect(readTzif(padded.subarray(3, 3 + slim.length))).toEqual(readTzif(slim));
  });

  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.uint8Array({ maxLength: 300 }).map((rest) => Buffer.concat([Buffer.from('TZif2'), rest])),
    // A real file with some bytes changed gets further than noise does.
    fc
      .array(fc.tuple(fc.nat(slim.length - 1), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 12 })
      .map((changes) => {
        const copy = Buffer.from(slim);
        for (const [at, value] of changes) copy[at] = value;
        return copy;
      }),
  );

  it('survives any bytes, and what it reads has bounds and answers for every instant', () => {
    fc.assert(
      fc.property(
        bytes,
        fc.constantFrom<Libc>('glibc', 'musl'),
        fc.date({ noInvalidDate: true }),
        (file, libc, date) => {
          hasTzifHeader(file);
          const tzif = readTzif(file);
          if (tzif === undefined) return;
          expect(tzif.types.length).toBeGreaterThan(0);
          expect(tzif.transitions.length).toBe(tzif.transitionTypes.length);
          expect(tzif.transitions.length).toBeLessThanOrEqual(2_000);
          const table = tableOfTzif(tzif, libc);
          expect(Number.isFinite(zoneAt(table, date).offset)).toBe(true);
          expect(listChanges(table, 0, 2 ** 31).length).toBeLessThan(3_000);
          expect(JSON.parse(JSON.stringify(table))).toEqual(table);
        },
      ),
      { numRuns: 3_000 },
    );
  });
});

describe('tableOfTzif', () => {
  it('gives for a file with all its changes what it gives for one that leaves them to the rule', () => {
    const tzif = readTzif(slim);
    if (tzif === undefined) throw new Error('The fixture is no zone file.');
    const short = tableOfTzif(tzif, 'glibc');
    const changes = listChanges(short, Date.UTC(2007, 0, 1) / 1000, Date.UTC(2037, 0, 1) / 1000).slice(1);
    const kinds = changes.map(({ type }) =>
      tzif.types.findIndex((known) => known.abbreviation === type.abbreviation && known.isDst === type.isDst),
    );
    const kept = tzif.transitions.filter((at) => at < Date.UTC(2007, 0, 1) / 1000);
    const long = tableOfTzif(
      {
        ...tzif,
        transitions: [...kept, ...changes.map(({ at }) => at)],
        transitionTypes: [...tzif.transitionTypes.slice(0, kept.length), ...kinds],
      },
      'glibc',
    );

    expect(changes).toHaveLength(60);
    expect(long).toEqual(short);
  });

  it('stays with the last type where a file has no rule', () => {
    const tzif = readTzif(versionOne([0, 1000, 2000]));
    if (tzif === undefined) throw new Error('The file is no zone file.');
    const table = tableOfTzif(tzif, 'glibc');

    expect(zoneAt(table, -1).abbreviation).toBe('STD');
    expect(zoneAt(table, 0).abbreviation).toBe('DST');
    expect(zoneAt(table, 999_999).abbreviation).toBe('DST');
    expect(zoneAt(table, 1_000_000).abbreviation).toBe('STD');
    expect(zoneAt(table, '2100-01-01').abbreviation).toBe('DST');
  });
});

const zoneinfo = '/usr/share/zoneinfo';
// ICU's data round or differ from IANA's before this year in three zones.
const from = Date.UTC(1997, 0, 1);
const to = Date.UTC(2024, 0, 1);

function ianaNames(): string[] {
  try {
    readdirSync(zoneinfo);
  } catch {
    return [];
  }
  return Intl.supportedValuesOf('timeZone');
}

const names = ianaNames();

describe.skipIf(names.length === 0)(
  `zoneAt${names.length > 0 ? '' : ` [skipped: no zone files in ${zoneinfo} (apt-get install tzdata)]`}`,
  () => {
    it('agrees with Intl for all but a few of the zones of IANA on both sides of every change and between', () => {
      const wrong: string[] = [];
      let checked = 0;
      for (const name of names) {
        const tzif = readTzif(readFileSync(join(zoneinfo, name)));
        if (tzif === undefined) throw new Error(`${name} is no zone file.`);
        const table = tableOfTzif(tzif, 'glibc');
        const format = new Intl.DateTimeFormat('en-US', {
          timeZone: name,
          timeZoneName: 'longOffset',
          year: 'numeric',
        });
        const changes = listChanges(table, from / 1000, to / 1000)
          .slice(1)
          .flatMap(({ at }) => [at * 1000 - 1000, at * 1000]);
        for (const instant of [
          ...changes,
          ...Array.from({ length: 20 }, (_, index) => from + ((to - from) * index) / 20),
        ]) {
          checked += 1;
          const text = format.format(instant);
          if (!text.replace(/GMT$/, 'GMT+00:00').endsWith(longOffset(zoneAt(table, instant).offset)))
            wrong.push(`${name} ${new Date(instant).toISOString()} ${text}`);
        }
      }

      // The two have their data from different releases, which may differ in a zone or two; a mistake here shows in dozens.
      expect([...new Set(wrong.map((line) => line.split(' ')[0]))].slice(0, 10).length, wrong.join('\n')).toBeLessThan(
        5,
      );
      expect(checked).toBeGreaterThan(10_000);
    });
  },
);

function longOffset(offset: number): string {
  const minutes = Math.abs(offset) / 60;
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  return `GMT${offset < 0 ? '-' : '+'}${two(minutes / 60)}:${two(minutes % 60)}`;
}
