import type { ProbeAttempt } from '@crikit/core';

/** Where a daemon may listen. */
export type DaemonEndpoint = {
  /** As it is shown and compared: a socket path, or `tcp://host:port`. */
  readonly name: string;
  readonly origin: ProbeAttempt['origin'];
} & (
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** Something that the daemon's own client takes and this package does not. */
  | { readonly kind: 'unsupported'; readonly reason: string; readonly remedy: string }
);
