// The daemon's clock has whole seconds in its replies; an answer may be under way for another one.
const sameClockSeconds = 2;

/**
 * When a call began, by the daemon's clock, in seconds since 1970: exact where ours is the same, as it is on one machine,
 * else rather too early than too late.
 *
 * @param daemonSeconds What the daemon's clock has shown since the call began; undefined where it does not tell: then ours is
 *   taken for it.
 * @param startedAtMs When the call began, by our clock.
 */
export function eventsSince(daemonSeconds: number | undefined, startedAtMs: number): number {
  if (daemonSeconds === undefined) return startedAtMs / 1_000;
  const nowMs = Date.now();
  const aheadSeconds = nowMs / 1_000 - daemonSeconds;
  const isSameClock = aheadSeconds >= 0 && aheadSeconds < sameClockSeconds;
  return isSameClock ? startedAtMs / 1_000 : daemonSeconds - 1 - Math.floor((nowMs - startedAtMs) / 1_000);
}
