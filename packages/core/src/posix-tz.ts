import type { Libc, ZoneRule, ZoneRuleChange, ZoneType } from './tz-info.js';

/** A TZ string as a C library understands it. */
export interface PosixTz {
  readonly rule: ZoneRule;
  /** False when the string is none: then the rule is UTC with whatever abbreviation the library shows. */
  readonly isValid: boolean;
}

/**
 * Reads a POSIX TZ string (`CST-8`, `<+08>-8`, `EST5EDT,M3.2.0,M11.1.0`) the way a C library does, in linear time.
 * Never throws: C libraries take what they understand of a string and leave the rest, each in its own way.
 */
export function readPosixTz(text: string, libc: Libc): PosixTz {
  const cursor = new Cursor(text);
  return libc === 'glibc' ? readLikeGlibc(cursor) : readLikeMusl(cursor);
}

/** True when musl takes a TZ value for a POSIX string at once, without looking for a file of that name. */
export function isPosixFormForMusl(text: string): boolean {
  const cursor = new Cursor(text);
  const name = muslName(cursor);
  return cursor.index > 0 && (/[-+0-9]/.test(cursor.peek()) || name === 'UTC' || name === 'GMT');
}

const hourSeconds = 3600;
const changeAtTwo = 2 * hourSeconds;
// What both libraries make of a change that is not there: their zeroed memory.
const noChange: ZoneRuleChange = { kind: 'zero-based', day: 0, time: 0 };
// The rule of the United States since 2007, glibc's for a daylight saving name without one.
const defaultStart: ZoneRuleChange = { kind: 'month', month: 3, week: 2, weekday: 0, time: changeAtTwo };
const defaultEnd: ZoneRuleChange = { kind: 'month', month: 11, week: 1, weekday: 0, time: changeAtTwo };

class Cursor {
  readonly text: string;
  index = 0;

  constructor(text: string) {
    this.text = text;
  }

  peek(): string {
    return this.text.charAt(this.index);
  }

  get isAtEnd(): boolean {
    return this.index >= this.text.length;
  }

  /** Goes over a match of a sticky expression at this place and returns it. */
  take(expression: RegExp): RegExpExecArray | undefined {
    expression.lastIndex = this.index;
    const match = expression.exec(this.text);
    if (match === null) return undefined;
    this.index = expression.lastIndex;
    return match;
  }
}

/** Without the negative zero, which JSON does not know. */
function signed(sign: 1 | -1, size: number): number {
  return sign === -1 && size !== 0 ? -size : size;
}

function standardOnly(abbreviation: string, offset: number): ZoneRule {
  return { standard: { abbreviation, offset, isDst: false } };
}

function readLikeGlibc(cursor: Cursor): PosixTz {
  const name = glibcName(cursor);
  if (name === undefined) return { rule: standardOnly('', 0), isValid: false };
  if (!/[-+0-9]/.test(cursor.peek())) return { rule: standardOnly(name, 0), isValid: false };
  const standardOffset = glibcOffset(cursor);
  if (standardOffset === undefined) return { rule: standardOnly(name, 0), isValid: false };
  const standard: ZoneType = { abbreviation: name, offset: standardOffset, isDst: false };
  if (cursor.isAtEnd) return { rule: { standard }, isValid: true };

  const daylightName = glibcName(cursor);
  // Without a name for it glibc still computes the changes, to a nameless time at UTC.
  const daylight: ZoneType =
    daylightName === undefined
      ? { abbreviation: '', offset: 0, isDst: true }
      : { abbreviation: daylightName, offset: glibcOffset(cursor) ?? standardOffset + hourSeconds, isDst: true };
  const start = glibcChange(cursor, defaultStart);
  const end = start.isComplete ? glibcChange(cursor, defaultEnd).change : noChange;
  return { rule: { standard, daylight: { ...daylight, start: start.change, end } }, isValid: true };
}

function glibcName(cursor: Cursor): string | undefined {
  const match = cursor.take(/([A-Za-z]{3,})|<([A-Za-z0-9+-]{3,})>/y);
  return match?.[1] ?? match?.[2];
}

function glibcOffset(cursor: Cursor): number | undefined {
  const sign = cursor.take(/[+-]/y)?.[0] === '-' ? 1 : -1;
  const parts = glibcNumbers(cursor);
  if (parts === undefined) return undefined;
  const [hours, minutes, seconds] = parts;
  const size = Math.min(hours, 24) * hourSeconds + Math.min(minutes, 59) * 60 + Math.min(seconds, 59);
  return signed(sign, size);
}

/** `hours[:minutes[:seconds]]` as `scanf` reads unsigned shorts. */
function glibcNumbers(cursor: Cursor): [hours: number, minutes: number, seconds: number] | undefined {
  const first = cursor.take(/\s*([+-]?\d+)/y);
  if (first === undefined) return undefined;
  const minutes = cursor.take(/:\s*([+-]?\d+)/y);
  const seconds = minutes === undefined ? undefined : cursor.take(/:\s*([+-]?\d+)/y);
  return [unsignedShort(first[1]), unsignedShort(minutes?.[1]), unsignedShort(seconds?.[1])];
}

function unsignedShort(digits = '0'): number {
  // Beyond 64 bits `scanf` gives the largest number; the limit also keeps BigInt from reading a long string.
  if (digits.length > 19) return 0xffff;
  return Number(BigInt.asUintN(16, BigInt(digits.startsWith('+') ? digits.slice(1) : digits)));
}

/** Of a change that it cannot read to its end glibc keeps the day, at midnight. */
function glibcChange(cursor: Cursor, fallback: ZoneRuleChange): { change: ZoneRuleChange; isComplete: boolean } {
  cursor.take(/,/y);
  const day = cursor.isAtEnd ? fallback : glibcDay(cursor);
  if (day === undefined) return { change: noChange, isComplete: false };
  const hasTime = cursor.take(/\//y) !== undefined;
  if (hasTime ? cursor.isAtEnd : !cursor.isAtEnd && cursor.peek() !== ',') {
    return { change: { ...day, time: 0 }, isComplete: false };
  }
  if (!hasTime) return { change: { ...day, time: changeAtTwo }, isComplete: true };
  const sign = cursor.take(/-/y) === undefined ? 1 : -1;
  const [hours, minutes, seconds] = glibcNumbers(cursor) ?? [2, 0, 0];
  const time = signed(sign, hours * hourSeconds + minutes * 60 + seconds);
  return { change: { ...day, time }, isComplete: true };
}

function glibcDay(cursor: Cursor): ZoneRuleChange | undefined {
  const julian = cursor.take(/(J?)(\d+)/y);
  if (julian !== undefined) {
    const day = Number(julian[2]);
    const isJulian = julian[1] === 'J';
    if (day > 365 || (isJulian && day === 0)) return undefined;
    return { kind: isJulian ? 'julian' : 'zero-based', day, time: changeAtTwo };
  }
  return monthDay(cursor.take(/M(\d+)\.(\d+)\.(\d+)/y));
}

function monthDay(match: RegExpExecArray | undefined): ZoneRuleChange | undefined {
  if (match === undefined) return undefined;
  const [month = 0, week = 0, weekday = 0] = match.slice(1).map(Number);
  if (month < 1 || month > 12 || week < 1 || week > 5 || weekday > 6) return undefined;
  return { kind: 'month', month, week, weekday, time: changeAtTwo };
}

function readLikeMusl(cursor: Cursor): PosixTz {
  const abbreviation = muslName(cursor);
  const isValid = cursor.index > 0;
  const standard: ZoneType = { abbreviation, offset: signed(-1, muslSeconds(cursor)), isDst: false };
  const daylightName = muslName(cursor);
  if (daylightName === '') return { rule: { standard }, isValid };
  const offset = /[-+0-9]/.test(cursor.peek()) ? signed(-1, muslSeconds(cursor)) : standard.offset + hourSeconds;
  // No rule: musl then has daylight saving time all year, but for an hour at its turn.
  const start = cursor.take(/,/y) === undefined ? noChange : muslChange(cursor);
  const end = cursor.take(/,/y) === undefined ? noChange : muslChange(cursor);
  const daylight: ZoneType = { abbreviation: daylightName, offset, isDst: true };
  // Both changes at one instant: musl then never leaves daylight saving time.
  if (start === noChange && end === noChange && offset === standard.offset)
    return { rule: { standard: daylight }, isValid };
  return { rule: { standard, daylight: { ...daylight, start, end } }, isValid };
}

const muslNameLength = 6;

function muslName(cursor: Cursor): string {
  const match = cursor.take(/<([^>]*)>?|[A-Za-z]+/y);
  return (match?.[1] ?? match?.[0] ?? '').slice(0, muslNameLength);
}

/** `[+-]hours[:minutes[:seconds]]`; what is not there counts as 0. */
function muslSeconds(cursor: Cursor): number {
  const sign = cursor.take(/[+-]/y)?.[0] === '-' ? -1 : 1;
  let seconds = hourSeconds * muslNumber(cursor);
  if (cursor.take(/:/y) !== undefined) {
    seconds += 60 * muslNumber(cursor);
    if (cursor.take(/:/y) !== undefined) seconds += muslNumber(cursor);
  }
  return bounded(signed(sign, seconds));
}

function muslNumber(cursor: Cursor): number {
  return bounded(Number(cursor.take(/\d*/y)?.[0] ?? 0));
}

// Where musl's own arithmetic would overflow, any answer is as good: it must stay within what JSON and Date can hold.
const muslLimit = 10_000_000;

function bounded(value: number): number {
  return Math.max(-muslLimit, Math.min(muslLimit, value));
}

function muslChange(cursor: Cursor): ZoneRuleChange {
  const month = cursor.take(/M(\d+)\D(\d+)\D(\d+)/y);
  const day = month === undefined ? muslDay(cursor) : (monthDay(month) ?? noChange);
  return { ...day, time: cursor.take(/\//y) === undefined ? changeAtTwo : muslSeconds(cursor) };
}

function muslDay(cursor: Cursor): ZoneRuleChange {
  const kind = cursor.take(/J/y) === undefined ? 'zero-based' : 'julian';
  return { kind, day: Math.min(muslNumber(cursor), 366), time: 0 };
}
