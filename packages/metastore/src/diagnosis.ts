export type DiagnosisSeverity = 'ok' | 'warning' | 'failure';

export const diagnosisFindingIds = [
  'store-starting',
  'store-not-running',
  'no-engine',
  'engine-live',
  'engine-syncing',
  'engine-stale',
  'engine-unusable',
  'engine-absent',
  'socket-mounted-as-file',
  'details-failing',
  'pod-source-live',
  'pod-source-starting',
  'pod-source-degraded',
  'pod-source-stale',
] as const;

/** What `diagnose` can find. The words are contract; messages are not. */
export type DiagnosisFindingId = (typeof diagnosisFindingIds)[number];

export interface DiagnosisFinding {
  readonly id: DiagnosisFindingId;
  readonly severity: DiagnosisSeverity;
  /** What it is about: the id of an engine, the type of one that is not here, the name of a source of pods, `store`. */
  readonly subject: string;
  /** In sentences, for people. */
  readonly message: string;
  /** What to do about it; absent where nothing is to be done. */
  readonly remedy?: string;
}

/** What a store can say about itself; plain data, safe to stringify. */
export interface Diagnosis {
  /** Raised when a member changes its meaning or goes; more members may come at any time. */
  readonly schemaVersion: 1;
  /** The whole in one line, the worst first: `docker: stale 14 min since ECONNREFUSED; the socket was replaced`. */
  readonly verdict: string;
  /** That of the worst finding. */
  readonly severity: DiagnosisSeverity;
  /** When it was made, in milliseconds since 1970. */
  readonly timeMs: number;
  /** The worst first. */
  readonly findings: readonly DiagnosisFinding[];
}
