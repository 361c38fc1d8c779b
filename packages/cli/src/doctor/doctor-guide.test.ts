import { describe, expect, test } from 'vitest';
import { contextOf } from './check-context-in-test.js';
import { conclude } from './conclude.js';
import { findingIdsOfAnyCheck, findingIdsOfChecks } from './finding-ids.js';
import { objectionsToReport, readGuide } from './read-guide-in-test.js';

/** The ids in the tables of each section, by its heading. */
function readTables(): Map<string, string[]> {
  const tables = new Map<string, string[]>();
  let heading = '';
  for (const line of readGuide().split('\n')) {
    heading = /^#{2,3} (.+)$/.exec(line)?.[1] ?? heading;
    const id = /^\| `([a-z-]+)` +\|/.exec(line)?.[1];
    if (id !== undefined) tables.set(heading, [...(tables.get(heading) ?? []), id]);
  }
  return tables;
}

describe('the guide', () => {
  const tables = readTables();

  test('has a section for each check, with exactly what it can find', () => {
    for (const [check, ids] of Object.entries(findingIdsOfChecks)) {
      expect(tables.get(check)?.toSorted(), `section ${check}`).toEqual([...ids].sort());
    }
    expect(tables.get('What it looks at')).toEqual([...findingIdsOfAnyCheck]);
    expect([...tables.keys()].toSorted()).toEqual([...Object.keys(findingIdsOfChecks), 'What it looks at'].sort());
  });

  test('says of each finding that is not ok what to do', () => {
    const rows = readGuide()
      .split('\n')
      .filter((line) => /^\| `[a-z-]+` +\|/.test(line));
    const silent = rows.filter((row) => {
      const [, , severity = '', meaning = '', remedy = ''] = row.split('|').map((cell) => cell.trim());
      return severity !== 'ok' && (meaning === '' || remedy === '');
    });
    expect(silent).toEqual([]);
  });

  test('has a schema that reports follow, and that refuses what is none', () => {
    const report = conclude([{ task: { check: 'proc' }, durationMs: 3, ended: { kind: 'timed-out' } }], {
      settings: contextOf({ agent: { url: 'http://127.0.0.1:1' } }).settings,
      limitMs: 2_000,
      nowMs: 1,
    });
    expect(objectionsToReport(report)).toEqual([]);
    const schema = /"check": \{\n\s+"enum": \[([^\]]*)\]/.exec(readGuide())?.[1] ?? '';
    expect(schema.match(/[a-z-]+/g)?.toSorted()).toEqual(Object.keys(findingIdsOfChecks).sort());
    expect(objectionsToReport({ ...report, schemaVersion: 2 })).not.toEqual([]);
    expect(objectionsToReport({ ...report, findings: [{ id: 'x' }] })).not.toEqual([]);
    expect(objectionsToReport({ ...report, checks: [{ check: 'tea', outcome: 'done', durationMs: 1 }] })).not.toEqual(
      [],
    );
  });
});
