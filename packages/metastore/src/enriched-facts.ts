import type { ContainerFacts } from './container-facts.js';
import type { Enrichment } from './enrich-containers.js';

type Facts = ReadonlyMap<string, ContainerFacts | undefined>;

/** What engines tell of containers, together with what was found in them. */
export interface EnrichedFacts {
  /** Takes up what engines tell; the same with what was found. */
  take(facts: Facts): Facts;
  /** What was told last of these containers, with what has been found by now. */
  again(keys: ReadonlySet<string>): Facts;
}

export function createEnrichedFacts(valuesOf: Enrichment['valuesOf']): EnrichedFacts {
  const told = new Map<string, ContainerFacts>();
  const enrich = (facts: ContainerFacts): ContainerFacts => {
    const values = valuesOf(facts.key, facts.container);
    // What the engine tells goes first.
    return values === undefined ? facts : { ...facts, container: Object.freeze({ ...values, ...facts.container }) };
  };
  return {
    take: (facts) => {
      for (const [key, next] of facts) {
        if (next === undefined) told.delete(key);
        else told.set(key, next);
      }
      return new Map([...facts].map(([key, next]) => [key, next === undefined ? undefined : enrich(next)]));
    },
    again: (keys) => {
      const facts = new Map<string, ContainerFacts>();
      for (const key of keys) {
        const last = told.get(key);
        if (last !== undefined) facts.set(key, enrich(last));
      }
      return facts;
    },
  };
}
