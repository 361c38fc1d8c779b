import { InvalidArgumentError, type Logger } from '@crikit/core';
import type { Clock } from './clock.js';
import { alpineStatusEnricher } from './enrich-alpine-status.js';
import { hostnameEnricher } from './enrich-hostname.js';
import { createPid1RecyclingEnricher } from './enrich-pid1-recycling.js';
import { pid1NameEnricher, zombieCountEnricher } from './enrich-processes.js';
import { timeZoneEnricher } from './enrich-time-zone.js';
import type { AnyEnricher } from './enricher.js';
import { createHelperEnricher, type HelperOptions } from './provision-helper.js';

/** What a store is to find out about running biz containers. */
export interface EnrichmentChoice {
  /** Built-in enrichers that are left out, by the names of the values. Default: none. */
  readonly without?: readonly AnyEnricher['name'][];
  /** More of them, run after the built-in ones. Default: none. */
  readonly add?: readonly AnyEnricher[];
  /** A file that every biz container outside of the `kube-*` namespaces is to have. Default: none, nothing is written. */
  readonly helper?: HelperOptions;
  /**
   * Whether to find out by an exec, once for each start of a container, if its first process reaps orphans, where its name
   * does not tell. Where it does not reap, that leaves a zombie in the container. Default: false.
   */
  readonly tryRecycling?: boolean;
}

/** In the order in which they run. Throws `InvalidArgumentError` for two of one name. */
export function chooseEnrichers(
  choice: EnrichmentChoice | false,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): readonly AnyEnricher[] {
  if (choice === false) return [];
  const { without = [], add = [], helper, tryRecycling = false } = choice;
  const builtIn: readonly AnyEnricher[] = [
    hostnameEnricher,
    timeZoneEnricher,
    alpineStatusEnricher,
    pid1NameEnricher,
    zombieCountEnricher,
    createPid1RecyclingEnricher({ clock, tryByExec: tryRecycling }),
    ...(helper === undefined ? [] : [createHelperEnricher(helper, logger)]),
  ];
  const chosen = [...builtIn.filter(({ name }) => !without.includes(name)), ...add];
  const names = new Set<string>();
  for (const { name } of chosen) {
    if (names.has(name)) {
      throw new InvalidArgumentError(`There are two enrichers '${name}': leave out the built-in one by 'without'.`);
    }
    names.add(name);
  }
  return chosen;
}
