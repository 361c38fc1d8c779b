/** At most `limit` at once; the others wait in order. */
export function createSemaphore(limit: number): <Value>(run: () => Promise<Value>) => Promise<Value> {
  let free = Math.max(1, limit);
  const waiting: (() => void)[] = [];
  return async (run) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await run();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
}
