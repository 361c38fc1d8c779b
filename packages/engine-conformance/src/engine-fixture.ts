import type { ContainerEngine, ContainerTarget, EngineDefinition, EngineDriver } from '@crikit/core';
import type { SuiteRunner } from './suite-runner.js';

/** What a container of a suite is made from. */
export interface FixtureContainerOptions {
  /**
   * `shell`: busybox (sh, ps, cat, stty, setsid, sha256sum, …). `users`: the same with users `app` (uid and gid 1000, also
   * in groups `shared`, gid 2000, and `audit`, gid 2001) and `worker` (1001, also in `shared`). `no-shell`: /bin/sleep and
   * /bin/cat, nothing else. Default: `shell`. How to make them is in docs/write-an-engine.md.
   */
  readonly image?: 'shell' | 'users' | 'no-shell';
  /** Default: something that stays, by its full path: one of the images has no shell to look for it. */
  readonly cmd?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
}

/** What makes containers for a suite, by other means than the package under test; the engine's author writes this. */
export interface ContainerFixture {
  /**
   * True for an engine whose daemon itself may lose the end of the output when a command leaves much of its input unread
   * (Podman 4.3 does so to any client); such an exec must then reject with `PROTOCOL`. Default: false, the output must
   * arrive.
   */
  readonly mayLoseOutputOnUnreadInput?: boolean;
  /** Creates and starts a container. */
  runContainer(options?: FixtureContainerOptions): Promise<FixtureContainer>;
  /** Removes what was left over. */
  close(): Promise<void>;
}

/** The same with a connected engine, which its `close` closes too. */
export interface EngineFixture extends ContainerFixture {
  readonly engine: ContainerEngine;
  /** What `engine` was made of. Default: one that honours every field of an exec request. */
  readonly driver?: EngineDriver;
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

/** What every suite of `describeEngineConformance` is given. */
export interface DriverSuiteOptions {
  readonly runner: SuiteRunner;
  readonly definition: EngineDefinition;
  createFixture(): Promise<DriverFixture>;
}

export interface DriverFixture extends EngineFixture {
  readonly driver: EngineDriver;
}
