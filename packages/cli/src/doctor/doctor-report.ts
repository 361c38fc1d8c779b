import type { Diagnosis, DiagnosisSeverity } from '@crikit/metastore';
import type { CheckId, FindingId } from './finding-ids.js';

export type Severity = DiagnosisSeverity;

export interface Finding {
  readonly id: FindingId;
  readonly severity: Severity;
  /** What it is about: the path of a socket, the type of an engine, an address; absent where the id says it all. */
  readonly subject?: string;
  /** In sentences, for people. */
  readonly message: string;
  /** What to do about it; absent where nothing is to be done. */
  readonly remedy?: string;
}

export interface ReportedFinding extends Finding {
  /** The check that found it. */
  readonly check: CheckId;
}

export interface CheckRun {
  readonly check: CheckId;
  /** Which of several of that kind: the package of an engine, the socket of a containerd. */
  readonly subject?: string;
  /** `timed-out`, `crashed`: it was ended, or ended by itself, without an answer; a finding says so too. */
  readonly outcome: 'done' | 'timed-out' | 'crashed';
  readonly durationMs: number;
}

/** What `crikit doctor -o json` prints. Documented in docs/doctor.md. */
export interface DoctorReport {
  /** Raised when a member changes its meaning or goes; more members may come at any time. */
  readonly schemaVersion: 1;
  readonly kind: 'DoctorReport';
  /** The whole in one line, the worst first; begins with the agent's own verdict when an agent was asked and is not well. */
  readonly verdict: string;
  /** That of the worst finding. */
  readonly severity: Severity;
  /** When it was made, in milliseconds since 1970. */
  readonly timeMs: number;
  /** With `--server` only. */
  readonly agent?: AgentView;
  /** The worst first. */
  readonly findings: readonly ReportedFinding[];
  readonly checks: readonly CheckRun[];
}

/** How a running `crikit serve` sees itself. */
export interface AgentView {
  readonly url: string;
  /** Absent when the agent did not tell; then a finding says why. */
  readonly diagnosis?: Diagnosis;
}

export const severityRank: Readonly<Record<Severity, number>> = { failure: 0, warning: 1, ok: 2 };
