/**
 * The part of a test runner that the suites need; vitest, jest and node:test have it under these names. Assertions are
 * node:assert's, so that a suite runs under any of them.
 */
export interface SuiteRunner {
  describe(name: string, define: () => void): void;
  /** A context that `run` gets is used to skip (vitest, node:test); a runner that gives none counts a pass instead. */
  test(name: string, run: (...context: unknown[]) => Promise<void>): void;
  beforeAll(run: () => Promise<void>): void;
  afterAll(run: () => Promise<void>): void;
}

/** Reports a test as skipped, in the runner's own way. The test must return at once: not every runner ends it here. */
export function skipTest(context: readonly unknown[], reason: string): void {
  const [first] = context as readonly { readonly skip?: (reason: string) => void }[];
  if (typeof first?.skip === 'function') first.skip(reason);
}

/** Looks again and again until `holds`; rejects with what was seen last when the time is up. */
export async function waitUntil(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`${what}: not so after ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
