import { type Container, isCommandNotFoundError, resolveTimeZone, type TzInfo, UnsupportedError } from '@crikit/core';
import { type MetaStore, readTimeZoneRootByExec } from '@crikit/metastore';
import type { CommandContext } from '../command-context.js';
import { withStore } from '../open-store.js';
import { isOutOfReach } from '../out-of-reach.js';
import { known, nameOfContainer } from '../output/describe-container.js';
import { writeFields } from '../output/write-fields.js';
import { schemaVersion, writeDocument } from '../output/write-list.js';
import { resolveContainer } from '../resolve-target.js';

/** A time zone in the JSON of `tz`. */
export interface TimeZoneDocument {
  readonly containerId: string;
  /** An IANA name, a POSIX string, `UTC`, or `UNKNOWN` where the zone fits no name. */
  readonly name: string;
  readonly abbreviation: string;
  /** East of UTC. */
  readonly offsetSeconds: number;
  /** The instant that the two are for. ISO 8601. */
  readonly at: string;
  /** The same in the container's time, with its offset. */
  readonly localTime: string;
  /** The variable TZ; absent when it is not set. */
  readonly envTz?: string;
  readonly etcLocaltime?: string;
  readonly libc: string;
  /** Whether no C library was found and the rules of glibc were taken. */
  readonly libcAssumed: boolean;
}

/** Prints the time zone in which a container lives. */
export async function runTz(context: CommandContext, { target }: { readonly target: string }): Promise<void> {
  await withStore(context, async (store) => {
    const container = resolveContainer(store, target);
    const document = describeTimeZone(container, await findTimeZone(store, container));
    const { output } = context.options;
    if (output === 'name') context.stdout.write(`${document.name}\n`);
    else if (output === 'json' || output === 'yaml') {
      await writeDocument(context, { schemaVersion, kind: 'timeZone', item: document });
    } else {
      writeFields(context, [
        ['Container', nameOfContainer(container, store.getPodOf(container))],
        ['Time zone', document.name],
        ['Now', `${document.localTime} ${document.abbreviation}`],
        ['TZ', document.envTz ?? 'not set'],
        ['/etc/localtime', document.etcLocaltime ?? '-'],
        ['Rules of', `${document.libc}${document.libcAssumed ? ' (assumed: no C library was found)' : ''}`],
      ]);
    }
  });
}

async function findTimeZone(store: MetaStore, container: Container): Promise<TzInfo> {
  try {
    const root = await store.openRoot(container);
    try {
      return await resolveTimeZone(root, container.env);
    } finally {
      await root.close();
    }
  } catch (error) {
    if (!isOutOfReach(error)) throw error;
  }
  try {
    const root = await readTimeZoneRootByExec((request) => store.exec(container, request), container.env);
    return await resolveTimeZone(root, container.env);
  } catch (error) {
    if (!isCommandNotFoundError(error)) throw error;
    throw new UnsupportedError(`Container ${container.shortId} cannot be looked into: it has no shell.`, {
      applied: 'no',
      cause: error,
    });
  }
}

function describeTimeZone({ id }: Container, tz: TzInfo): TimeZoneDocument {
  const { name, zone, offset, at, libc, libcAssumed } = tz;
  return {
    containerId: id,
    name,
    abbreviation: zone,
    offsetSeconds: offset,
    at,
    localTime: formatLocalTime(at, offset),
    ...known({ envTz: tz.envTz, etcLocaltime: tz.etcLocaltime }),
    ...{ libc, libcAssumed },
  };
}

function formatLocalTime(at: string, offsetSeconds: number): string {
  const local = new Date(Date.parse(at) + offsetSeconds * 1_000).toISOString().slice(0, 19);
  const minutes = Math.trunc(Math.abs(offsetSeconds) / 60);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${local}${offsetSeconds < 0 ? '-' : '+'}${two(Math.trunc(minutes / 60))}:${two(minutes % 60)}`;
}
