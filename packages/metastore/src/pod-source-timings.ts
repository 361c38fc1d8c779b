/** The times by which sources of pods go; all in milliseconds. */
export interface PodSourceTimings {
  /** The least time, on average, between two requests of a server that fails. Default: 1 s. */
  readonly requestSpacingMs: number;
  /** The longest pause between attempts; up to half of it is added by chance. Default: 30 s. */
  readonly maximumBackOffMs: number;
  /** For the connection and the head of an answer, and for credentials. Default: 10 s. */
  readonly answerTimeoutMs: number;
  /** For the body of a list, a page each. Default: 60 s. */
  readonly bodyTimeoutMs: number;
  /** A watch that is silent for so long is taken for dead. API servers send a bookmark each 60 to 75 s. Default: 90 s. */
  readonly watchIdleTimeoutMs: number;
  /** After which the server is asked to end a watch, give or take a fifth. Default: 5 minutes. */
  readonly watchDurationMs: number;
  /** How long a watch must live to count as proof that the server is well, if nothing comes. Default: 10 s. */
  readonly healthyAfterMs: number;
}

export const defaultPodSourceTimings: PodSourceTimings = {
  requestSpacingMs: 1_000,
  maximumBackOffMs: 30_000,
  answerTimeoutMs: 10_000,
  bodyTimeoutMs: 60_000,
  watchIdleTimeoutMs: 90_000,
  watchDurationMs: 300_000,
  healthyAfterMs: 10_000,
};
