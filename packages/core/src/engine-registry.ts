import type { EngineDefinition } from './engine-contract.js';

/**
 * The registry is plain data on `globalThis`, so that every copy of core in a process (and every copy of every
 * version of it) reads and writes the same one. Its layout is an ABI: it may gain members, never change or lose one.
 * One realm has one registry; worker threads start with an empty one.
 */
interface EngineRegistry {
  readonly layout: 1;
  readonly entries: EngineDefinition[];
}

const registryKey = Symbol.for('crikit.engine-registry.v1');

/**
 * Makes an engine known to every store and selector of this process that is not given its engines explicitly.
 * Never throws: the same type, package and version again is a no-op; another package or version of the same type is
 * recorded too, and reported when engines are selected.
 */
export function registerEngine(definition: EngineDefinition): void {
  const { entries } = registry();
  if (!entries.some((entry) => isSameDefinition(entry, definition))) entries.push(definition);
}

/** Everything that was registered in this process, in the order of registration. */
export function registeredEngines(): readonly EngineDefinition[] {
  return [...registry().entries];
}

export function isSameDefinition(one: EngineDefinition, other: EngineDefinition): boolean {
  return (
    one.type === other.type && one.packageName === other.packageName && one.packageVersion === other.packageVersion
  );
}

function registry(): EngineRegistry {
  const holder = globalThis as { [registryKey]?: EngineRegistry };
  let found = holder[registryKey];
  if (found === undefined) {
    found = { layout: 1, entries: [] };
    Object.defineProperty(holder, registryKey, { value: found });
  }
  return found;
}
