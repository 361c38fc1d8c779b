const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129, EPIPE: 141 } as const;

/** The command is to end: a signal came, or nobody reads stdout any more (`EPIPE`). */
export class InterruptedError extends Error {
  /** As of a program that the signal killed. */
  readonly exitCode: number;

  constructor(by: keyof typeof exitCodes) {
    super(`interrupted by ${by}`);
    this.name = 'InterruptedError';
    this.exitCode = exitCodes[by];
  }
}
