/** What the errors of an exec that did not end by itself carry. */
export interface ExecInterruption {
  /** The request's command. */
  readonly cmd: readonly string[];
  /** Output that had arrived before the end, as far as it was kept (`maxOutputBytes`); empty for `execAsync`. */
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** How the process was ended; undefined when it had not started. */
  readonly termination: ExecTermination | undefined;
}

/** How a process in a container was ended, in the order in which the means are tried. */
export interface ExecTermination {
  /**
   * - `not-needed`: it had already ended
   * - `engine`: the engine's own kill of an exec
   * - `host-process-group`: its process group, signalled from the host after proof that it is the right one
   * - `host-marker`: every host process that carries the exec's marker, after the same proof
   * - `container-marker`: a second exec that killed what carries the marker
   * - `none`: no means was open
   */
  readonly methods: readonly ExecTerminationMethod[];
  /** True when the process and its children are known to be gone. False: something may still run. */
  readonly confirmed: boolean;
  /** In words: what was tried, and what could not be and why. */
  readonly detail: string;
}

export type ExecTerminationMethod =
  | 'not-needed'
  | 'engine'
  | 'host-process-group'
  | 'host-marker'
  | 'container-marker'
  | 'none';
