/**
 * Work whose parts may or may not have to be waited for. Written once, as a generator that yields the promises, it runs
 * at once and without a promise where there is nothing to wait for, which for small parts is most of the cost.
 */
export type Steps<Value> = Generator<Promise<unknown>, Value, unknown>;

/** The value, after its promise where it is one. */
export function* until<Value>(value: Value | Promise<Value>): Steps<Value> {
  return value instanceof Promise ? ((yield value) as Value) : value;
}

/** Runs the steps as far as they go now. A promise only where they had to wait; throws what comes up before that. */
export function settle<Value>(steps: Steps<Value>): Value | Promise<Value> {
  const first = steps.next();
  return first.done === true ? first.value : settleLater(steps, first.value);
}

async function settleLater<Value>(steps: Steps<Value>, first: Promise<unknown>): Promise<Value> {
  for (let waiting = first; ; ) {
    const step = await waiting.then(
      (value) => steps.next(value),
      (error: unknown) => steps.throw(error),
    );
    if (step.done === true) return step.value;
    waiting = step.value;
  }
}
