import { readPosixTz } from './posix-tz.js';
import type { Tzif } from './read-tzif.js';
import type { Libc, ZoneRule, ZoneTable, ZoneType } from './tz-info.js';
import { ruleBreakpoints, ruleTypeAt } from './zone-rule.js';
import { typeAt } from './zone-type-at.js';

/** The table of a zone that a rule alone describes. */
export function tableOfRule(rule: ZoneRule): ZoneTable {
  const table = { types: [rule.standard], transitions: [], transitionTypes: [] };
  return deepFreeze(rule.daylight === undefined ? table : { ...table, rule });
}

/** What a C library reads from a zone file, shortened to what its answers need. */
export function tableOfTzif(tzif: Tzif, libc: Libc): ZoneTable {
  const { types, footer } = tzif;
  const count = tzif.transitions.length;
  let rule: ZoneRule | undefined;
  if (footer !== undefined) {
    if (libc === 'musl') rule = readPosixTz(footer, libc).rule;
    else if (footer !== '') rule = readPosixTz(footer, libc).rule;
  }
  // Without transitions both libraries stay with a type of the file; with just one musl goes by the rule alone.
  if (count === 0) rule = undefined;
  if (count === 1 && libc === 'musl' && rule !== undefined) return tableOfRule(rule);
  const initial = (libc === 'musl' && count === 0 ? types[0] : types.find(({ isDst }) => !isDst)) ?? types[0];

  const entries = tzif.transitionTypes.map((type, index) => ({
    at: tzif.transitions[index] ?? 0,
    type: types[type] as ZoneType,
  }));
  if (rule !== undefined) dropWhatTheRuleGives(entries, rule);
  return deepFreeze(packTable(initial as ZoneType, entries, rule));
}

interface Entry {
  readonly at: number;
  readonly type: ZoneType;
}

/** Files for old readers list changes until 2037 that their rule gives as well. */
function dropWhatTheRuleGives(entries: Entry[], rule: ZoneRule): void {
  while (entries.length > 1) {
    const [from, to] = entries.slice(-2) as [Entry, Entry];
    if (!ruleGives(rule, from.type, from.at, to.at)) return;
    entries.pop();
  }
}

const longestCheckSeconds = 400 * 86_400;

function ruleGives(rule: ZoneRule, type: ZoneType, from: number, to: number): boolean {
  if (rule.daylight !== undefined && to - from > longestCheckSeconds) return false;
  return [from, ...ruleBreakpoints(rule, from, to)].every((at) => isSameType(ruleTypeAt(rule, at), type));
}

function packTable(initial: ZoneType, entries: readonly Entry[], rule: ZoneRule | undefined): ZoneTable {
  const types: ZoneType[] = [initial];
  const transitions: number[] = [];
  const transitionTypes: number[] = [];
  let current = 0;
  for (const [position, { at, type }] of entries.entries()) {
    let index = types.findIndex((known) => isSameType(known, type));
    if (index === -1) index = types.push(type) - 1;
    // The last one stays even where it changes nothing: the rule begins there.
    if (index === current && (rule === undefined || position < entries.length - 1)) continue;
    transitions.push(at);
    transitionTypes.push(index);
    current = index;
  }
  const table = { types, transitions, transitionTypes };
  return rule === undefined ? table : { ...table, rule };
}

function isSameType(left: ZoneType, right: ZoneType): boolean {
  return left.offset === right.offset && left.isDst === right.isDst && left.abbreviation === right.abbreviation;
}

/** What holds at `from`, then every change until `to` (Unix seconds). */
export function listChanges(table: ZoneTable, from: number, to: number): { at: number; type: ZoneType }[] {
  const points = [from, ...table.transitions.filter((at) => at > from && at < to)];
  const ruleFrom = Math.max(from, table.transitions.at(-1) ?? from);
  if (table.rule !== undefined && ruleFrom < to) points.push(...ruleBreakpoints(table.rule, ruleFrom, to));
  const changes: Entry[] = [];
  for (const at of points) {
    const type = typeAt(table, at);
    const last = changes.at(-1);
    if (last === undefined || !isSameType(last.type, type)) changes.push({ at, type });
  }
  return changes;
}

function deepFreeze<Value extends object>(value: Value): Value {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) deepFreeze(inner);
  return Object.freeze(value);
}
