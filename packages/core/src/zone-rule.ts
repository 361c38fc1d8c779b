import type { ZoneRule, ZoneRuleChange, ZoneType } from './tz-info.js';

const daySeconds = 86_400;

/** What a rule says about an instant in Unix seconds. Like C libraries, it looks at the changes of one UTC year. */
export function ruleTypeAt(rule: ZoneRule, seconds: number): ZoneType {
  const { standard, daylight } = rule;
  if (daylight === undefined) return standard;
  const { start, end } = changesOfYear(rule, yearOf(seconds));
  const isDst = start > end ? seconds < end || seconds >= start : seconds >= start && seconds < end;
  return isDst ? daylight : standard;
}

/** Every instant between two, in Unix seconds, at which a rule's answer may change; ascending. */
export function ruleBreakpoints(rule: ZoneRule, after: number, before: number): number[] {
  if (rule.daylight === undefined) return [];
  const points = new Set<number>();
  for (let year = yearOf(after); year <= yearOf(before); year += 1) {
    const { start, end } = changesOfYear(rule, year);
    // The turn of the year too: only the changes of the instant's own UTC year count.
    for (const point of [daysBeforeYear(year) * daySeconds, start, end]) {
      if (point > after && point < before) points.add(point);
    }
  }
  return [...points].sort((left, right) => left - right);
}

function changesOfYear({ standard, daylight }: ZoneRule, year: number): { start: number; end: number } {
  if (daylight === undefined) return { start: Number.POSITIVE_INFINITY, end: Number.POSITIVE_INFINITY };
  return {
    start: localSeconds(daylight.start, year) - standard.offset,
    end: localSeconds(daylight.end, year) - daylight.offset,
  };
}

function localSeconds(change: ZoneRuleChange, year: number): number {
  return (daysBeforeYear(year) + dayOfYear(change, year)) * daySeconds + change.time;
}

function dayOfYear(change: ZoneRuleChange, year: number): number {
  switch (change.kind) {
    case 'zero-based':
      return change.day;
    case 'julian':
      return change.day >= 60 && isLeapYear(year) ? change.day : change.day - 1;
    case 'month': {
      const first = daysBeforeMonth(change.month, year);
      const length = daysBeforeMonth(change.month + 1, year) - first;
      // 1 January 1970 was a Thursday.
      const firstWeekday = modulo(daysBeforeYear(year) + first + 4, 7);
      const day = modulo(change.weekday - firstWeekday, 7) + (change.week - 1) * 7;
      return first + (day >= length ? day - 7 : day);
    }
  }
}

const daysBefore = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];

function daysBeforeMonth(month: number, year: number): number {
  return (daysBefore[month - 1] ?? 0) + (month > 2 && isLeapYear(year) ? 1 : 0);
}

/** Days from 1 January 1970 to 1 January of a year; `Date.UTC` would take the years 0 to 99 for 1900 to 1999. */
function daysBeforeYear(year: number): number {
  const last = year - 1;
  return 365 * (year - 1970) + Math.floor(last / 4) - Math.floor(last / 100) + Math.floor(last / 400) - 477;
}

function isLeapYear(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

function yearOf(seconds: number): number {
  return new Date(seconds * 1000).getUTCFullYear();
}

function modulo(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}
