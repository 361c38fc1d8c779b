/** At most `limit` at once for each key; the others of that key wait in order. */
export function createStartLimits(
  limit: number,
): <Value>(key: string, signal: AbortSignal, run: () => Promise<Value>) => Promise<Value> {
  const lanes = new Map<string, { running: number; readonly waiting: (() => void)[] }>();
  return async (key, signal, run) => {
    const lane = lanes.get(key) ?? { running: 0, waiting: [] };
    lanes.set(key, lane);
    if (lane.running >= limit) {
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => {
          lane.waiting.splice(lane.waiting.indexOf(proceed), 1);
          reject(signal.reason);
        };
        const proceed = (): void => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        };
        if (signal.aborted) {
          reject(signal.reason);
          return;
        }
        signal.addEventListener('abort', onAbort, { once: true });
        lane.waiting.push(proceed);
      });
    } else {
      lane.running += 1;
    }
    try {
      return await run();
    } finally {
      const next = lane.waiting.shift();
      if (next !== undefined) next();
      else {
        lane.running -= 1;
        if (lane.running === 0) lanes.delete(key);
      }
    }
  };
}
