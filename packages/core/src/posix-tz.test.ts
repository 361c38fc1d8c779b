import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPosixFormForMusl, readPosixTz } from './posix-tz.js';
import type { Libc } from './tz-info.js';
import { ruleBreakpoints, ruleTypeAt } from './zone-rule.js';

function seen(text: string, instant: string, libc: Libc = 'glibc'): string {
  const { abbreviation, offset, isDst } = ruleTypeAt(readPosixTz(text, libc).rule, Date.parse(instant) / 1000);
  return `${abbreviation} ${offset}${isDst ? ' dst' : ''}`;
}

describe('readPosixTz', () => {
  // Observed with glibc 2.36 and musl 1.2.3.
  it.each([
    ['CST-8', '2026-01-15T00:00:00Z', 'CST 28800', 'CST 28800'],
    ['UTC+8', '2026-01-15T00:00:00Z', 'UTC -28800', 'UTC -28800'],
    ['<-0330>3:30', '2026-01-15T00:00:00Z', '-0330 -12600', '-0330 -12600'],
    ['EST5EDT,M3.2.0,M11.1.0', '2026-03-08T06:59:59Z', 'EST -18000', 'EST -18000'],
    ['EST5EDT,M3.2.0,M11.1.0', '2026-03-08T07:00:00Z', 'EDT -14400 dst', 'EDT -14400 dst'],
    ['EST5EDT,M3.2.0,M11.1.0', '2026-11-01T05:59:59Z', 'EDT -14400 dst', 'EDT -14400 dst'],
    ['EST5EDT,M3.2.0,M11.1.0', '2026-11-01T06:00:00Z', 'EST -18000', 'EST -18000'],
    ['AAA5BBB', '2026-01-15T00:00:00Z', 'AAA -18000', 'BBB -14400 dst'],
    ['<-02>2<-01>,M3.5.0/-1,M10.5.0/0', '2026-03-29T00:59:59Z', '-02 -7200', '-02 -7200'],
    ['<-02>2<-01>,M3.5.0/-1,M10.5.0/0', '2026-03-29T01:00:00Z', '-01 -3600 dst', '-01 -3600 dst'],
    ['IST-2IDT,M3.4.4/26,M10.5.0', '2026-03-26T23:59:59Z', 'IST 7200', 'IST 7200'],
    ['IST-2IDT,M3.4.4/26,M10.5.0', '2026-03-27T00:00:00Z', 'IDT 10800 dst', 'IDT 10800 dst'],
    ['AAA0BBB,J60/0,J300/0', '2028-02-29T12:00:00Z', 'AAA 0', 'AAA 0'],
    ['AAA0BBB,59/0,300/0', '2028-02-29T12:00:00Z', 'BBB 3600 dst', 'BBB 3600 dst'],
    ['AAA0BBB,M3.2.0/167,M11.1.0/-167', '2026-03-15T00:00:00Z', 'BBB 3600 dst', 'BBB 3600 dst'],
    ['IST-1GMT0,M10.5.0,M3.5.0/1', '2026-01-15T00:00:00Z', 'GMT 0 dst', 'GMT 0 dst'],
    ['CST-8 ', '2026-07-15T00:00:00Z', 'CST 28800', 'CST 28800'],
    ['CST-26', '2026-07-15T00:00:00Z', 'CST 86400', 'CST 93600'],
    ['ABCDEFGH-8', '2026-07-15T00:00:00Z', 'ABCDEFGH 28800', 'ABCDEF 28800'],
    ['AB-8', '2026-07-15T00:00:00Z', ' 0', 'AB 28800'],
  ])('reads %s at %s like the C libraries', (text, instant, glibc, musl) => {
    expect(seen(text, instant, 'glibc')).toBe(glibc);
    expect(seen(text, instant, 'musl')).toBe(musl);
  });

  it.each(['Asia/Shanghai', 'Garbage', '+08:00', '', ' CST-8', '<CST-8'])('finds no zone in %j for glibc', (text) => {
    expect(readPosixTz(text, 'glibc')).toMatchObject({ isValid: false, rule: { standard: { offset: 0 } } });
  });

  it('knows what musl takes for a POSIX string without looking for a file', () => {
    expect(['CST-8', 'EST5EDT', 'UTC', 'GMT', '<+08>-8'].filter(isPosixFormForMusl)).toHaveLength(5);
    expect(['Asia/Tokyo', 'PRC', '/etc/localtime', '', ':'].filter(isPosixFormForMusl)).toEqual([]);
  });

  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 400 }),
    fc.stringMatching(/^[A-Z<>0-9+:,./MJ-]{0,80}$/),
    fc.stringMatching(/^[A-Z]{3}[+-]?\d{1,20}[A-Z]{3},[MJ]?\d{1,9}\.\d\.\d(\/-?\d{1,9})?,[MJ]?\d{0,9}\.\d\.\d$/),
  );

  it('has a finite answer for any string at any instant', () => {
    fc.assert(
      fc.property(text, fc.constantFrom<Libc>('glibc', 'musl'), fc.date({ noInvalidDate: true }), (tz, libc, date) => {
        const seconds = Math.floor(date.getTime() / 1000);
        const { rule } = readPosixTz(tz, libc);
        const { offset, abbreviation } = ruleTypeAt(rule, seconds);
        expect(Number.isSafeInteger(offset)).toBe(true);
        expect(tz).toContain(abbreviation);
        expect(JSON.parse(JSON.stringify(rule))).toEqual(rule);
        expect(ruleBreakpoints(rule, seconds, seconds + 400 * 86_400).length).toBeLessThan(10);
      }),
      { numRuns: 2_000 },
    );
  });

  it('changes at its breakpoints only', () => {
    const rule = fc.stringMatching(
      /^AAA-?\d{1,2}BBB-?\d{1,2},(M[1-9]\.[1-5]\.[0-6]|J[1-9]\d?|[1-9]\d)\/-?\d{1,2},(M1[0-2]\.[1-5]\.[0-6]|J2\d\d|3[0-5]\d)\/-?\d{1,3}$/,
    );
    fc.assert(
      fc.property(rule, fc.integer({ min: 0, max: 4e9 }), fc.integer({ min: 0, max: 4e7 }), (tz, from, length) => {
        const read = readPosixTz(tz, 'glibc').rule;
        const [point = from + length] = ruleBreakpoints(read, from, from + length);
        expect(ruleTypeAt(read, point - 1).isDst).toBe(ruleTypeAt(read, Math.min(from, point - 1)).isDst);
      }),
    );
  });

  it('reads long strings in linear time', () => {
    const digits = '1'.repeat(200_000);
    const started = performance.now();
    for (const libc of ['glibc', 'musl'] as const) {
      for (const long of [
        digits,
        `A${digits}`,
        `AAA5BBB,M${digits}`,
        `AAA5BBB,${digits}/${digits}`,
        `<${digits}`,
        'A'.repeat(200_000),
      ])
        readPosixTz(long, libc);
    }
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});
