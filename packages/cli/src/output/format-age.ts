const unitsMs: readonly (readonly [string, number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
];

/** How long ago, in one or two units, as `5s`, `3m20s`, `2h`, `4d3h`; a dash for what has no beginning. */
export function formatAge(since: string | undefined, nowMs: number): string {
  const ageMs = since === undefined ? Number.NaN : nowMs - Date.parse(since);
  if (Number.isNaN(ageMs)) return '-';
  const first = unitsMs.findIndex(([, unitMs]) => ageMs >= unitMs);
  const [unit, unitMs] = unitsMs[first] ?? ['s', 1_000];
  const count = Math.max(0, Math.floor(ageMs / unitMs));
  const [nextUnit, nextMs] = unitsMs[first + 1] ?? ['', 0];
  const rest = first === -1 || nextMs === 0 || count >= 10 ? 0 : Math.floor((ageMs % unitMs) / nextMs);
  return rest === 0 ? `${count}${unit}` : `${count}${unit}${rest}${nextUnit}`;
}
