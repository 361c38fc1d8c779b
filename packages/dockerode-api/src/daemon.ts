/** Whom an API talks to. */
export interface Daemon {
  /** For messages: `Docker`. */
  readonly product: string;
  /** The engine's id, which errors carry: `docker:/run/docker.sock`. */
  readonly engine: string;
}
