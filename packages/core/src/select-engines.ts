import { setTimeout as delay } from 'node:timers/promises';
import { asEngineError, callDriver } from './call-driver.js';
import type { ContainerEngine } from './container-engine.js';
import { type ContainerEngineOptions, createContainerEngine } from './create-container-engine.js';
import {
  ENGINE_CONTRACT_VERSION,
  type EngineContext,
  type EngineDefinition,
  type EngineDriver,
  type EngineFeature,
  type ProbeAttempt,
  type ProbeReport,
} from './engine-contract.js';
import { isSameDefinition, registeredEngines } from './engine-registry.js';
import { EngineClashError } from './errors/engine-clash-error.js';
import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import { NoEngineError } from './errors/no-engine-error.js';
import { defaultHostRoot } from './host-path.js';
import { silentLogger } from './logger.js';

/**
 * Which engines to use: all registered ones that answer; those of some types; those that have some features; or the
 * given ones, which then need not be registered.
 */
export type EngineChoice =
  | 'all'
  | readonly string[]
  | { readonly require: readonly EngineFeature[] }
  | readonly (EngineDefinition | ContainerEngine)[];

export interface SelectEnginesOptions extends ContainerEngineOptions {
  /** Default: `all`. */
  readonly engines?: EngineChoice;
  /** Where engines read settings such as DOCKER_HOST. Default: this process's environment. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal;
}

/** What became of one engine at the last look. */
export interface EngineReport {
  readonly type: string;
  readonly packageName: string;
  readonly packageVersion: string;
  readonly status: 'connected' | 'not-applicable' | 'failed';
  /** In words, for people. */
  readonly reason: string;
  readonly version?: string;
  /** Id of the connected engine. */
  readonly engineId?: string;
  readonly attempts: readonly ProbeAttempt[];
}

export interface EngineSelectorOptions extends SelectEnginesOptions {
  /** Called for each engine that was found, at the start or later. */
  readonly onEngine: (engine: ContainerEngine) => void;
  /** Before an engine that was not there is looked for again; doubles up to the longest. Default: 1 s. */
  readonly firstRetryMs?: number;
  /** Default: 30 s. */
  readonly longestRetryMs?: number;
}

export interface EngineSelector extends AsyncDisposable {
  /** Resolves after every engine has been looked for once. Rejects with `EngineClashError` or for misuse only. */
  start(): Promise<void>;
  reports(): readonly EngineReport[];
  /** Stops looking and closes the engines that it connected; engines that were given ready stay open. */
  close(): Promise<void>;
}

const probeDeadlineMs = 2_000;
const connectDeadlineMs = 10_000;

/**
 * Connects every chosen engine that answers now. Rejects with `NoEngineError`, which lists all attempts, when there is
 * none. The caller closes the engines.
 */
export async function selectEngines(options: SelectEnginesOptions = {}): Promise<readonly ContainerEngine[]> {
  const candidates = chooseCandidates(options.engines ?? 'all');
  const looks = await Promise.all(candidates.map((candidate) => lookFor(candidate, options)));
  const engines = looks.flatMap((look) => look.engine ?? []);
  if (engines.length === 0) throw new NoEngineError(looks.map((look) => look.report));
  return engines;
}

/** Connects one engine, or rejects with why it cannot be. The caller closes it. */
export async function connectEngine(
  definition: EngineDefinition,
  options: Omit<SelectEnginesOptions, 'engines'> = {},
): Promise<ContainerEngine> {
  requireContract(definition);
  const driver = await callDriver(
    {
      what: `connect to ${definition.type}`,
      engine: definition.type,
      timeoutMs: connectDeadlineMs,
      signal: options.signal,
      onLate: (late: EngineDriver) => void late[Symbol.asyncDispose](),
    },
    (signal) => definition.connect(contextOf(options, signal)),
  );
  return createContainerEngine(definition, driver, options);
}

/** Keeps looking: an engine that starts later is found then. */
export function createEngineSelector(options: EngineSelectorOptions): EngineSelector {
  const closing = new AbortController();
  const reports = new Map<Candidate, EngineReport>();
  const connected: ContainerEngine[] = [];
  let candidates: readonly Candidate[] = [];
  const searches: Promise<void>[] = [];

  const look = async (candidate: Candidate): Promise<boolean> => {
    const { engine, report } = await lookFor(candidate, { ...options, signal: closing.signal });
    reports.set(candidate, report);
    if (engine === undefined) return false;
    if (closing.signal.aborted) {
      if (candidate.kind === 'definition') await engine.close();
      return true;
    }
    if (candidate.kind === 'definition') connected.push(engine);
    options.onEngine(engine);
    return true;
  };
  const keepLooking = async (candidate: Candidate): Promise<void> => {
    const longestMs = options.longestRetryMs ?? 30_000;
    for (
      let waitMs = options.firstRetryMs ?? 1_000;
      !closing.signal.aborted;
      waitMs = Math.min(longestMs, waitMs * 2)
    ) {
      await delay(waitMs * (0.75 + Math.random() / 2), undefined, { signal: closing.signal }).catch(() => {});
      if (closing.signal.aborted || (await look(candidate))) return;
    }
  };

  const self: EngineSelector = {
    async start() {
      candidates = chooseCandidates(options.engines ?? 'all');
      const found = await Promise.all(candidates.map(look));
      candidates.forEach((candidate, index) => {
        if (found[index] !== true && isWorthRetrying(candidate)) searches.push(keepLooking(candidate));
      });
    },
    reports: () => candidates.flatMap((candidate) => reports.get(candidate) ?? []),
    async close() {
      closing.abort();
      await Promise.all(searches);
      await Promise.all(connected.map((engine) => engine.close()));
    },
    [Symbol.asyncDispose]() {
      return self.close();
    },
  };
  return self;
}

type Candidate =
  | {
      readonly kind: 'definition';
      readonly definition: EngineDefinition;
      readonly require: readonly EngineFeature[];
    }
  | { readonly kind: 'engine'; readonly engine: ContainerEngine }
  | { readonly kind: 'missing'; readonly type: string };

function chooseCandidates(choice: EngineChoice): readonly Candidate[] {
  if (choice === 'all') return registered([], undefined);
  if ('require' in choice) return registered(choice.require, undefined);
  const list: readonly (string | EngineDefinition | ContainerEngine)[] = choice;
  if (list.length === 0) throw new InvalidArgumentError('engines must not be an empty array.');
  const types = list.filter((item) => typeof item === 'string');
  if (types.length > 0 && types.length < list.length) {
    throw new InvalidArgumentError('engines must be either types or engines, not both in one array.');
  }
  if (types.length > 0) return registered([], types);
  return list.map((item) => {
    if (typeof item === 'string') throw new InvalidArgumentError('engines must be either types or engines.');
    return 'probe' in item ? { kind: 'definition', definition: item, require: [] } : { kind: 'engine', engine: item };
  });
}

function registered(require: readonly EngineFeature[], types: readonly string[] | undefined): readonly Candidate[] {
  const all = registeredEngines();
  const wanted = types ?? [...new Set(all.map((definition) => definition.type))];
  return wanted.map((type) => {
    const [definition, ...others] = all.filter((entry) => entry.type === type);
    if (definition === undefined) return { kind: 'missing', type };
    if (others.some((other) => !isSameDefinition(definition, other))) {
      throw new EngineClashError(
        type,
        [definition, ...others].map((entry) => `${entry.packageName} ${entry.packageVersion}`),
      );
    }
    return { kind: 'definition', definition, require };
  });
}

function isWorthRetrying(candidate: Candidate): boolean {
  return candidate.kind === 'definition' && candidate.definition.contractVersion === ENGINE_CONTRACT_VERSION;
}

interface Look {
  readonly engine?: ContainerEngine;
  readonly report: EngineReport;
}

async function lookFor(candidate: Candidate, options: SelectEnginesOptions): Promise<Look> {
  if (candidate.kind === 'engine') {
    const { engine } = candidate;
    const report = {
      type: engine.type,
      packageName: 'given',
      packageVersion: '-',
      reason: 'given ready',
      attempts: [],
    };
    return { engine, report: { ...report, status: 'connected', engineId: engine.id } };
  }
  if (candidate.kind === 'missing') {
    const reason = `no package is registered for it; import one, such as '@crikit/engine-${candidate.type}'`;
    const names = { type: candidate.type, packageName: 'none', packageVersion: '-' };
    return { report: { ...names, status: 'failed', reason, attempts: [] } };
  }
  const { definition, require } = candidate;
  const about = {
    type: definition.type,
    packageName: definition.packageName,
    packageVersion: definition.packageVersion,
  };
  if (definition.contractVersion !== ENGINE_CONTRACT_VERSION) {
    return { report: { ...about, status: 'failed', reason: contractMismatch(definition), attempts: [] } };
  }
  const never = require.filter((feature) => !definition.possibleFeatures.includes(feature));
  if (never.length > 0) {
    const reason = `it never has ${never.join(', ')}, which is required`;
    return { report: { ...about, status: 'not-applicable', reason, attempts: [] } };
  }
  const probe = await probeEngine(definition, options);
  const seen = {
    ...about,
    attempts: probe.attempts,
    ...(probe.version === undefined ? {} : { version: probe.version }),
  };
  if (probe.status !== 'available') {
    const reason = probe.status === 'failed' ? 'it is here but cannot be used' : 'it is not on this node';
    return { report: { ...seen, status: probe.status, reason } };
  }
  try {
    const engine = await connectEngine(definition, options);
    const missing = require.filter((feature) => !engine.supports(feature));
    if (missing.length > 0) {
      await engine.close();
      const reason = `it has no ${missing.join(', ')} here, which is required`;
      return { report: { ...seen, status: 'not-applicable', reason } };
    }
    return { engine, report: { ...seen, status: 'connected', reason: 'connected', engineId: engine.id } };
  } catch (error) {
    const { message } = asEngineError(error, { what: 'connect', engine: definition.type });
    return { report: { ...seen, status: 'failed', reason: message } };
  }
}

async function probeEngine(definition: EngineDefinition, options: SelectEnginesOptions): Promise<ProbeReport> {
  try {
    return await callDriver(
      { what: 'probe', engine: definition.type, timeoutMs: probeDeadlineMs, signal: options.signal },
      (signal) => definition.probe(contextOf(options, signal)),
    );
  } catch (error) {
    const failure = asEngineError(error, { what: 'probe', engine: definition.type });
    const attempt: ProbeAttempt = {
      endpoint: definition.type,
      origin: 'well-known',
      step: 'stat',
      outcome: 'failed',
      code: failure.code,
      message: failure.message,
    };
    return { status: 'failed', attempts: [attempt] };
  }
}

function contextOf(options: SelectEnginesOptions, signal: AbortSignal): EngineContext {
  return {
    hostRoot: options.hostRoot ?? defaultHostRoot(),
    environment: options.environment ?? process.env,
    signal,
    logger: options.logger ?? silentLogger,
  };
}

function requireContract(definition: EngineDefinition): void {
  if (definition.contractVersion !== ENGINE_CONTRACT_VERSION) {
    throw new InvalidArgumentError(`Engine '${definition.type}': ${contractMismatch(definition)}.`);
  }
}

function contractMismatch(definition: EngineDefinition): string {
  const older = definition.contractVersion < ENGINE_CONTRACT_VERSION;
  const who = older ? definition.packageName : '@crikit/core';
  return `it is written for version ${definition.contractVersion} of the engine contract, and @crikit/core has ${ENGINE_CONTRACT_VERSION}; update ${who}`;
}
