import type { ContainerEngine, ContainerTarget } from '@crikit/core';

/** What a container of a suite is made from. */
export interface FixtureContainerOptions {
  /**
   * `shell`: busybox (sh, ps, cat, stty, setsid, sha256sum, …) and only root in /etc/passwd. `users`: the same with
   * users `app` (uid and gid 1000, also in group `shared`, gid 2000) and `worker` (1001). `no-shell`: /bin/sleep and
   * /bin/cat, nothing else. Default: `shell`.
   */
  readonly image?: 'shell' | 'users' | 'no-shell';
  /** Default: something that stays. */
  readonly cmd?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A real engine with what a suite does to it; the engine's author writes this. */
export interface EngineFixture {
  readonly engine: ContainerEngine;
  /** Creates and starts a container. */
  runContainer(options?: FixtureContainerOptions): Promise<FixtureContainer>;
  /** Removes what was left over and closes the engine. */
  close(): Promise<void>;
}

export interface FixtureContainer {
  readonly target: ContainerTarget;
  /** As engine events and references call it. */
  readonly id: string;
  /** Ends its first process with SIGKILL and resolves when the engine knows. */
  stop(): Promise<void>;
  /** Starts it again after `stop`. */
  start(): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Whatever its state; harmless when it is gone. */
  remove(): Promise<void>;
}
