/**
 * What containerd itself soon forgets. The CRI deletes a task some 100 ms after its end, and the exit code with it: only
 * the event, or a list in between, has told it.
 */
export interface RememberedContainer {
  /** Its creation was seen, and no start yet. */
  readonly created?: boolean;
  readonly startedAt?: string;
  readonly exited?: { readonly exitCode?: number };
}

export interface ContainerMemory {
  recall(namespace: string, id: string): RememberedContainer;
  onCreated(namespace: string, id: string): void;
  onStarted(namespace: string, id: string, startedAt: string): void;
  onExited(namespace: string, id: string, exitCode: number | undefined): void;
  onRemoved(namespace: string, id: string): void;
  /** A list or a look-up shows the task alive: an earlier end is history. */
  onSeenAlive(namespace: string, id: string): void;
  /** A list or a look-up shows no task: one that was seen alive before has ended. */
  onSeenWithoutTask(namespace: string, id: string): void;
  /** Drops the others of this namespace. */
  keepOnly(namespace: string, ids: ReadonlySet<string>): void;
}

interface Entry {
  created: boolean;
  alive: boolean;
  startedAt: string | undefined;
  exited: { readonly exitCode?: number } | undefined;
}

export function createContainerMemory(): ContainerMemory {
  const entries = new Map<string, Map<string, Entry>>();
  const of = (namespace: string): Map<string, Entry> => {
    let found = entries.get(namespace);
    if (found === undefined) {
      found = new Map();
      entries.set(namespace, found);
    }
    return found;
  };
  const set = (namespace: string, id: string, change: Partial<Entry>): void => {
    const before = of(namespace).get(id) ?? { created: false, alive: false, startedAt: undefined, exited: undefined };
    of(namespace).set(id, { ...before, ...change });
  };
  return {
    recall(namespace, id) {
      const entry = of(namespace).get(id);
      if (entry === undefined) return {};
      return {
        ...(entry.created ? { created: true } : {}),
        ...(entry.startedAt === undefined ? {} : { startedAt: entry.startedAt }),
        ...(entry.exited === undefined ? {} : { exited: entry.exited }),
      };
    },
    onCreated: (namespace, id) => set(namespace, id, { created: true }),
    onStarted: (namespace, id, startedAt) =>
      set(namespace, id, { created: false, alive: true, startedAt, exited: undefined }),
    onExited: (namespace, id, exitCode) =>
      set(namespace, id, {
        created: false,
        alive: false,
        exited: exitCode === undefined ? {} : { exitCode },
      }),
    onRemoved: (namespace, id) => void of(namespace).delete(id),
    onSeenAlive(namespace, id) {
      const entry = of(namespace).get(id);
      if (entry?.alive === true && entry.exited === undefined) return;
      set(namespace, id, { created: false, alive: true, exited: undefined });
    },
    onSeenWithoutTask(namespace, id) {
      const entry = of(namespace).get(id);
      if (entry?.alive === true) set(namespace, id, { alive: false, exited: entry.exited ?? {} });
    },
    keepOnly(namespace, ids) {
      for (const id of of(namespace).keys()) if (!ids.has(id)) of(namespace).delete(id);
    },
  };
}
