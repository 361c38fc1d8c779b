/**
 * Docker's list does not say when a container was started, only "Up 5 minutes". This remembers, for every container,
 * when it was last known to be as its last inspection said, and takes a list's element for unchanged only where the
 * container has provably been in that state since before then. So a restart is noticed however coarse the words are,
 * and what did not change is not inspected again.
 */
import type { DaemonInspect, DaemonListItem } from '@crikit/dockerode-api';

export interface DockerRevisions {
  /** The revision of what an inspection that was asked for at `askedAtMs` has shown. */
  remember(inspect: DaemonInspect, askedAtMs: number): string;
  /**
   * The revision of a list's element that is still what was inspected; undefined when that is not certain. Times are
   * those of the request and the reply, on the same monotonic clock as above.
   */
  confirm(item: DaemonListItem, askedAtMs: number, answeredAtMs: number): string | undefined;
  /** Forgets every container that is not in the list. */
  keepOnly(ids: ReadonlySet<string>): void;
  readonly size: number;
}

interface Remembered {
  readonly revision: string;
  readonly name: string;
  readonly state: string;
  readonly exitCode: number | undefined;
  /** At this moment, or later, it was seen like this. */
  knownAtMs: number;
}

export function createDockerRevisions(): DockerRevisions {
  const remembered = new Map<string, Remembered>();
  return {
    remember(inspect, askedAtMs) {
      const { Status: state, StartedAt, FinishedAt, ExitCode: exitCode, Pid: pid } = inspect.State;
      const name = inspect.Name ?? '';
      const revision = `${state}|${StartedAt ?? ''}|${FinishedAt ?? ''}|${exitCode ?? ''}|${pid ?? ''}|${name}`;
      remembered.set(inspect.Id, { revision, name, state, exitCode, knownAtMs: askedAtMs });
      return revision;
    },

    confirm(item, askedAtMs, answeredAtMs) {
      const known = remembered.get(item.Id);
      if (known === undefined || known.state !== item.State || !item.Names.includes(known.name)) return undefined;
      // Nothing leads back to `created`: what was never started is what it was.
      if (item.State !== 'created') {
        const spell = parseDockerStatusText(item.Status);
        if (spell === undefined) return undefined;
        if (spell.exitCode !== undefined && spell.exitCode !== known.exitCode) return undefined;
        // A run that began after the container was last known could be no older than this.
        if (spell.atLeastMs + spell.roundedOffMs <= answeredAtMs - known.knownAtMs) return undefined;
      }
      known.knownAtMs = Math.max(known.knownAtMs, askedAtMs);
      return known.revision;
    },

    keepOnly(ids) {
      for (const id of remembered.keys()) if (!ids.has(id)) remembered.delete(id);
    },

    get size() {
      return remembered.size;
    },
  };
}

/** How long a container has been up or ended, as far as the text tells. */
export interface DockerSpell {
  readonly atLeastMs: number;
  /**
   * What counting in whole seconds may have taken away, so that a container is not called new in its first second.
   * Where Docker counts in minutes and more, nothing is added: not certain is not certain there.
   */
  readonly roundedOffMs: number;
  readonly exitCode?: number;
}

/**
 * Reads the text that Docker makes for people: `Up 5 minutes (healthy)`, `Exited (137) About an hour ago`. Undefined
 * for other texts. Docker rounds hours to the nearest; everything above is made of hours.
 * https://pkg.go.dev/github.com/docker/go-units#HumanDuration
 */
export function parseDockerStatusText(status: string): DockerSpell | undefined {
  const up = /^Up (.+?)(?: \([^)]*\))*$/.exec(status);
  if (up !== null) return parseDuration(up[1] ?? '');
  const [, exitCode, words] = /^Exited \((-?\d+)\) (.+) ago$/.exec(status) ?? [];
  const duration = parseDuration(words ?? '');
  return duration === undefined ? undefined : { ...duration, exitCode: Number(exitCode) };
}

const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const unitsMs: ReadonlyMap<string, number> = new Map([
  ['second', secondMs],
  ['minute', minuteMs],
  ['hour', hourMs],
  ['day', dayMs],
  ['week', 7 * dayMs],
  ['month', 30 * dayMs],
  ['year', 365 * dayMs],
]);

function parseDuration(words: string): DockerSpell | undefined {
  if (words === 'Less than a second') return { atLeastMs: 0, roundedOffMs: secondMs };
  const [, count, unit] = /^(\d+|About an?) ([a-z]+?)s?$/.exec(words) ?? [];
  const unitMs = unitsMs.get(unit ?? '');
  if (count === undefined || unitMs === undefined) return undefined;
  const number = count.startsWith('About') ? 1 : Number(count);
  return {
    atLeastMs: number * unitMs - (unitMs >= hourMs ? hourMs / 2 : 0),
    roundedOffMs: unitMs === secondMs ? secondMs : 0,
  };
}
