export type LogStream = 'stdout' | 'stderr';

/** One line of a log file: a line of the container, or a part of one. */
export interface LogPart {
  /** As it is in the file: ISO 8601, mostly with nanoseconds. */
  readonly time: string;
  readonly stream: LogStream;
  readonly text: Buffer;
  /** The rest of the container's line comes in a later part of the same stream. */
  readonly isPartial: boolean;
}

/** One line that a container wrote. */
export interface LogEntry {
  /** Of its first part. */
  readonly time: string;
  readonly stream: LogStream;
  /** Without the line end. */
  readonly text: Buffer;
  /** False for the last that was written without one, and for a line so long that it is given in pieces. */
  readonly endsLine: boolean;
}
