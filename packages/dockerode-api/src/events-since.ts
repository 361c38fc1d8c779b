// The daemon's clock has whole seconds in its replies; an answer may be under way for another one.
const sameClockSeconds = 2;

/** The present by the daemon's clock, in seconds since 1970: exact where ours is the same, as it is on one machine. */
export function eventsSince(daemonSeconds: number | undefined): number | undefined {
  if (daemonSeconds === undefined) return undefined;
  const ownSeconds = Date.now() / 1_000;
  const aheadSeconds = ownSeconds - daemonSeconds;
  return aheadSeconds >= 0 && aheadSeconds < sameClockSeconds ? ownSeconds : daemonSeconds;
}
