import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repositoryRoot } from '../setup/tool-environment.mjs';
import { readExports } from '../test-support/check-types.js';

interface Row {
  readonly seed: string;
  readonly counterpart: string;
  readonly note: string;
}

const rows: readonly Row[] = readFileSync(join(repositoryRoot, 'docs', 'seed-parity.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => {
    const [, seed = '', counterpart = '', note = ''] = line.split('|').map((cell) => cell.trim());
    return { seed, counterpart, note };
  });

test('the table has each symbol once, with a counterpart or the reason why there is none', () => {
  expect(rows.length).toBeGreaterThan(150);
  expect(new Set(rows.map(({ seed }) => seed)).size).toBe(rows.length);
  const wrong = rows.filter(({ counterpart, note }) =>
    counterpart === '—' ? note === '' : !/^`(core|metastore):\w+(\.\w+)?`$/.test(counterpart),
  );
  expect(wrong).toEqual([]);
});

test('every counterpart that the table names is exported, and has the member', () => {
  const exported = readExports(['core', 'metastore']);
  const missing = rows.filter(({ counterpart }) => {
    const [, packageName = '', name = '', member] = /^`(\w+):(\w+)(?:\.(\w+))?`$/.exec(counterpart) ?? [];
    if (packageName === '') return false;
    const members = exported.get(packageName)?.get(name);
    return members === undefined || (member !== undefined && !members.has(member));
  });
  expect(missing.map(({ seed, counterpart }) => `${seed} → ${counterpart}`)).toEqual([]);
}, 60_000);
