import type {
  Container,
  ContainerEnrichments,
  ContainerProcess,
  ContainerRoot,
  ExecRequest,
  ExecResult,
  Pod,
} from '@crikit/core';

/** What an enricher works with. Everything in it is for this run only. */
export interface EnricherContext<Value = unknown> {
  /** With what the enrichers before this one found. */
  readonly container: Container;
  /** Absent when its pod is not shown (any more). */
  readonly pod?: Pod;
  /** Where the node's root is mounted for this process. */
  readonly hostRoot: string;
  /**
   * The container's files, from the host. Opened when first asked for, shared by the container's enrichers and closed by
   * the store: do not close it. Rejects as core's `openRootOfContainer` does.
   */
  openRoot(): Promise<ContainerRoot>;
  /**
   * The processes of a container, of one pass over the node's /proc that all containers share which are looked at
   * together; empty when none is to be seen. Default: of this container; besides it of its sandbox and of the one whose
   * pid namespace it shares, by full id. Rejects as core's `listProcessesOfAll` does.
   */
  listProcesses(containerId?: string): Promise<readonly ContainerProcess[]>;
  /**
   * In this container, ended with the run, with `reuse` unless the request says otherwise. Costs a thousand times what a
   * file costs, in a shell that is open some thirty times.
   */
  exec(request: ExecRequest): Promise<ExecResult>;
  /** Shows a value before the run ends. */
  report(value: Value): void;
  /** Kept from run to run for as long as the container runs without a pause; one for each enricher and container. */
  readonly memory: Map<string, unknown>;
}

/**
 * Finds out one value about running biz containers. It runs off the path on which the store follows its engines, few at
 * once, and neither its time nor its failure concerns anything but its own value.
 */
export interface Enricher<Name extends keyof ContainerEnrichments = keyof ContainerEnrichments> {
  /** The member of the container that gets the value. What the engine tells under that name goes first. */
  readonly name: Name;
  /** Asked before each run, and again for a container that changes. Must not wait. */
  appliesTo(container: Container): boolean;
  /**
   * Resolves to the value, plain data, or to undefined when there is none to be known. What it rejects with is logged; an
   * error with `retryable` is tried again after 1 s, then with growing pauses up to a minute; any other one is final until
   * the container is started anew or the value is refreshed.
   */
  run(
    context: EnricherContext<NonNullable<ContainerEnrichments[Name]>>,
    signal: AbortSignal,
  ): Promise<NonNullable<ContainerEnrichments[Name]> | undefined>;
  /** After this long `signal` aborts and the run counts as failed, retryable. A run that goes on all the same is not joined by another. */
  readonly timeoutMs: number;
  /** Run again at such intervals. Absent: once for each start of a container. */
  readonly refreshMs?: number;
  /** Shown as soon as a container to which it applies is taken up. Absent: nothing is. */
  readonly initial?: NonNullable<ContainerEnrichments[Name]>;
}

/** An enricher of any one name. */
export type AnyEnricher = {
  readonly [Name in keyof ContainerEnrichments]-?: Enricher<Name>;
}[keyof ContainerEnrichments];
