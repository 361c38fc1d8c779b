import type { Diagnosis } from '@crikit/metastore';
import type { CheckSettings } from './check-settings.js';
import type { Finding } from './doctor-report.js';
import type { CheckId } from './finding-ids.js';

/** One run of a check, as it is sent to the process that does it: plain data. */
export type CheckTask =
  | { readonly check: 'engine'; readonly subject: string; readonly enginePackage: EnginePackage }
  | { readonly check: 'containerd-namespaces' | 'fifo-directory'; readonly subject: string }
  | { readonly check: 'clock'; readonly subject?: undefined; readonly endpoints: readonly string[] }
  | {
      readonly check: Exclude<CheckId, 'engine' | 'containerd-namespaces' | 'fifo-directory' | 'clock'>;
      readonly subject?: undefined;
    };

export interface EnginePackage {
  readonly name: string;
  /** What to import: a name, or a URL. */
  readonly specifier: string;
}

export interface CheckFinding extends Finding {
  /** A failure only where nothing else does the job: beside an engine that answers it is a warning. */
  readonly isDispensable?: boolean;
}

export interface CheckResult {
  readonly findings: readonly CheckFinding[];
  /** Of the check `engine`. */
  readonly engines?: readonly SeenEngine[];
  /** Of the check `agent`. */
  readonly diagnosis?: Diagnosis;
}

/** An engine that a package brings. */
export interface SeenEngine {
  readonly type: string;
  readonly packageName: string;
  readonly packageVersion: string;
  /** Where a daemon of it answers, in the order in which they would be used. */
  readonly endpoints: readonly string[];
}

export interface CheckContext {
  readonly settings: CheckSettings;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Aborts a moment before the process is killed, with a reason whose code is TIMEOUT. */
  readonly signal: AbortSignal;
}
