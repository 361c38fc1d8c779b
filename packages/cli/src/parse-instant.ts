import { InvalidArgumentError } from '@crikit/core';

const unitsMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `10m`, `1h30m`, `2d` (before now) or ISO 8601, as milliseconds since 1970. Throws `InvalidArgumentError`. */
export function parseInstant(text: string, nowMs: number): number {
  if (/^(\d+[smhd])+$/.test(text)) {
    const parts = [...text.matchAll(/(\d+)([smhd])/g)];
    return nowMs - parts.reduce((sum, [, count, unit = '']) => sum + Number(count) * (unitsMs[unit] ?? 0), 0);
  }
  const instant = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(instant)) return instant;
  throw new InvalidArgumentError(`'${text}' is no time: give 90s, 10m, 1h30m, 2d, or 2026-01-31T08:00:00Z.`);
}
