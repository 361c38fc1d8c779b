import { createServer } from 'node:net';
import type { ContainerSummary, EngineDefinition, EngineDriver, EngineEvent, EngineEventAction } from '@crikit/core';
import { describe, expect, test } from 'vitest';
import { runSuites, type SuiteOutcome } from '../../../tools/test-support/run-suites.js';
import { CONFORMANCE_SUITES, type ConformanceSuite, describeEngineConformance } from './describe-engine-conformance.js';
import type { ContainerFixture, FixtureContainer } from './engine-fixture.js';
import { createInMemoryEngine, type InMemoryEngineControl, type InMemoryEngineOptions } from './in-memory-engine.js';

/** Those that need no real command: the in-memory engine has no shell. */
const withoutShell: readonly ConformanceSuite[] = CONFORMANCE_SUITES.filter(
  (name) => name !== 'exec' && name !== 'copy',
);

function createInMemoryFixture(control: InMemoryEngineControl): ContainerFixture {
  const made = new Set<string>();
  return {
    async runContainer({ cmd, env, labels } = {}) {
      const id = control.addContainer({
        status: 'running',
        ...(env === undefined ? {} : { env }),
        ...(labels === undefined ? {} : { labels }),
      });
      made.add(id);
      const exitCode = /^exit (\d+)$/.exec(cmd?.at(-1) ?? '')?.[1];
      if (exitCode !== undefined) control.stopContainer(id, Number(exitCode));
      const container: FixtureContainer = {
        id,
        target: id,
        stop: async () => control.stopContainer(id, 137),
        start: async () => control.startContainer(id),
        pause: async () => control.pauseContainer(id),
        resume: async () => control.resumeContainer(id),
        async remove() {
          if (made.delete(id)) control.removeContainer(id);
        },
      };
      return container;
    },
    async close() {
      for (const id of made) control.removeContainer(id);
      made.clear();
    },
  };
}

interface Variant {
  readonly engine?: InMemoryEngineOptions;
  readonly suites?: readonly ConformanceSuite[];
  readonly change?: (definition: EngineDefinition) => EngineDefinition;
}

async function run({ engine, suites = withoutShell, change = (it) => it }: Variant): Promise<SuiteOutcome[]> {
  const { definition, control } = createInMemoryEngine(engine);
  return runSuites(
    (runner) =>
      describeEngineConformance({
        runner,
        definition: change(definition),
        createFixture: async () => createInMemoryFixture(control),
        suites,
        engineOptions: { pollIntervalMs: 20 },
      }),
    { bail: true },
  );
}

const failed = (outcomes: readonly SuiteOutcome[]) => outcomes.filter(({ outcome }) => outcome === 'failed');
const skipped = (outcomes: readonly SuiteOutcome[]) => outcomes.filter(({ outcome }) => outcome === 'skipped');

/** The same engine with other members of its driver. */
const withDriver =
  (replace: (driver: EngineDriver) => Partial<EngineDriver>) =>
  (definition: EngineDefinition): EngineDefinition => ({
    ...definition,
    async connect(context) {
      const driver = await definition.connect(context);
      return { ...driver, ...replace(driver) };
    },
  });

const tellingCommandsAs = (action: EngineEventAction) =>
  withDriver((driver) => {
    const listeners = new Set<(event: EngineEvent) => void>();
    return {
      async startExec(of, request, call) {
        const handle = await driver.startExec(of, request, call);
        for (const tell of listeners) tell({ action, reference: of, timeMs: Date.now() });
        return handle;
      },
      features: {
        ...driver.features,
        events: {
          openEvents: async (onEvent, call) => {
            const { events } = driver.features;
            if (events === undefined) throw new Error('no events');
            const feed = await events.openEvents(onEvent, call);
            listeners.add(onEvent);
            void feed.ended.then(() => listeners.delete(onEvent));
            return feed;
          },
        },
      },
    };
  });

describe('an engine that keeps the contract', () => {
  test('passes, and what was not asked for is reported by name', { timeout: 60_000 }, async () => {
    const outcomes = await run({});
    expect(failed(outcomes)).toEqual([]);
    const reported = skipped(outcomes).map(({ path }) => path.at(-1));
    expect(reported).toEqual(
      expect.arrayContaining(['exec [skipped: not asked for]', 'copy [skipped: not asked for]']),
    );
    expect(outcomes.filter(({ outcome }) => outcome === 'passed').length).toBeGreaterThan(40);
  });

  test('passes with no events, no archive, and no user, working directory and environment in exec', {
    timeout: 60_000,
  }, async () => {
    const outcomes = await run({
      engine: { events: false, archive: false, revisions: false },
      // Its environment is emulated by a shell, and that is what an exec of this engine finds.
      change: withDriver((driver) => ({
        execFields: new Set(),
        startExec: (of, request, call) =>
          driver.startExec(of, request.cmd[0] === 'sh' ? { ...request, cmd: ['true'] } : request, call),
      })),
    });
    expect(failed(outcomes)).toEqual([]);
    const reasons = new Set(skipped(outcomes).map(({ reason }) => reason));
    expect(reasons).toContain('the engine declares no events');
    const passed = outcomes.filter(({ outcome }) => outcome === 'passed').map(({ path }) => path.at(-1));
    expect(passed).toEqual(
      expect.arrayContaining([
        'without the feature, changes are found by listing',
        'without the exec field user, a request for it is refused before it travels',
        'without the exec field tty, a request for it is refused before it travels',
      ]),
    );
  });
});

describe('an engine that breaks the contract fails the suite', () => {
  const breakages: Readonly<
    Record<string, { suite: ConformanceSuite; fails: string; change: NonNullable<Variant['change']> }>
  > = {
    'that has a feature which it does not declare': {
      suite: 'declaration',
      fails: 'has only features that the definition names, and all their functions',
      change: (definition) => ({ ...definition, possibleFeatures: ['events'] }),
    },
    'whose feature lacks a function': {
      suite: 'declaration',
      fails: 'has only features that the definition names, and all their functions',
      change: withDriver((driver) => ({ features: { ...driver.features, events: {} as never } })),
    },
    'whose probe does not find it': {
      suite: 'declaration',
      fails: 'is found by its probe',
      change: (definition) => ({ ...definition, probe: async () => ({ status: 'failed', attempts: [] }) }),
    },
    'that lists only what runs': {
      suite: 'list',
      fails: 'those that run and those that do not are there, in core’s words',
      change: withDriver((driver) => ({
        listAllContainers: async (call) =>
          (await driver.listAllContainers(call)).filter(({ status }) => status === 'running'),
      })),
    },
    'that says a status in words of its own': {
      suite: 'list',
      fails: 'those that run and those that do not are there, in core’s words',
      change: withDriver((driver) => ({
        listAllContainers: async (call) =>
          (await driver.listAllContainers(call)).map((summary) =>
            summary.status === 'exited' ? ({ ...summary, status: 'stopped' } as unknown as ContainerSummary) : summary,
          ),
      })),
    },
    'whose revision never changes': {
      suite: 'list',
      fails: 'a revision, where there is one, stays while nothing changes and changes with the container',
      change: withDriver((driver) => ({
        listAllContainers: async (call) =>
          (await driver.listAllContainers(call)).map((summary) => ({ ...summary, revision: '1' })),
      })),
    },
    'that fails a whole batch for one container': {
      suite: 'detail',
      fails: 'of several come in the order of the question, each with its own failure',
      change: withDriver((driver) => ({
        async getContainerDetails(of, call) {
          const outcomes = await driver.getContainerDetails(of, call);
          const lost = outcomes.find((outcome) => 'error' in outcome);
          if (lost !== undefined && 'error' in lost) throw lost.error;
          return outcomes;
        },
      })),
    },
    'that forgets environment variables without a value': {
      suite: 'detail',
      fails: 'a running container has environment, labels, a pid and the time of its start',
      change: withDriver((driver) => ({
        getContainerDetails: async (of, call) =>
          (await driver.getContainerDetails(of, call)).map((outcome) => {
            if ('error' in outcome) return outcome;
            const env = Object.fromEntries(Object.entries(outcome.detail.env).filter(([, value]) => value !== ''));
            return { ...outcome, detail: { ...outcome.detail, env } };
          }),
      })),
    },
    'that never tells the end of a container': {
      suite: 'events',
      fails: 'a container’s whole life is told in its order',
      change: withDriver((driver) => ({
        features: {
          ...driver.features,
          events: {
            openEvents: async (onEvent, call) => {
              const { events } = driver.features;
              if (events === undefined) throw new Error('no events');
              return events.openEvents((event) => {
                if (event.action !== 'exited') onEvent(event);
              }, call);
            },
          },
        },
      })),
    },
    'that covers the opening of its events in words only': {
      suite: 'events',
      fails: 'a container that starts while somebody subscribes is in the list or told, each time',
      change: withDriver(({ features: { events, ...features } }) => ({
        features: {
          ...features,
          events: {
            coversOpening: true,
            openEvents: async (onEvent, call) => {
              if (events === undefined) throw new Error('no events');
              await new Promise((resolve) => setTimeout(resolve, 20));
              return events.openEvents(onEvent, call);
            },
          },
        },
      })),
    },
    'that tells the start of a command as its container’s': {
      suite: 'events',
      fails: 'commands that run in a container change nothing',
      change: tellingCommandsAs('started'),
    },
    'that tells the end of a command as its container’s': {
      suite: 'events',
      fails: 'commands that run in a container change nothing',
      change: tellingCommandsAs('exited'),
    },
    'that fails with plain errors': {
      suite: 'errors',
      fails: 'a container that is gone is not found, by any call',
      change: withDriver((driver) => ({
        getSource: async (of, call) =>
          driver.getSource(of, call).catch(() => {
            throw new Error('404');
          }),
      })),
    },
    'that does not listen to its signal': {
      suite: 'abort',
      fails: 'the driver’s listAllContainers ends with its signal, by a typed error',
      change: withDriver((driver) => ({
        listAllContainers: () => driver.listAllContainers({ signal: new AbortController().signal }),
      })),
    },
    'that subscribes for a caller who has given up': {
      suite: 'abort',
      fails: 'a subscription to events ends with its signal',
      change: withDriver(({ features: { events, ...features } }) => ({
        features: {
          ...features,
          events: {
            openEvents: async (onEvent) => {
              if (events === undefined) throw new Error('no events');
              return events.openEvents(onEvent, { signal: new AbortController().signal });
            },
          },
        },
      })),
    },
    'that ends the containers when it is closed': {
      suite: 'close',
      fails: 'containers go on, and another engine sees them',
      change: withDriver((driver) => ({
        getContainerDetails: async (of, call) =>
          (await driver.getContainerDetails(of, call)).map((outcome) =>
            'error' in outcome || !closed.has(outcome.reference.scope)
              ? outcome
              : { ...outcome, detail: { ...outcome.detail, status: 'exited' as const } },
          ),
        async [Symbol.asyncDispose]() {
          closed.add('');
        },
      })),
    },
    'that opens a connection a call and leaves it open': {
      suite: 'leaks',
      fails: 'connections do not grow with use, and are gone when the engine is closed',
      change: withDriver((driver) => ({
        async listAllContainers(call) {
          const server = createServer().listen(0, '127.0.0.1');
          leaked.push(() => void server.close());
          return driver.listAllContainers(call);
        },
      })),
    },
  };

  test.each(Object.entries(breakages))(
    '%s',
    async (_, { suite, fails, change }) => {
      const outcomes = await run({ suites: [suite], change });
      for (const leak of leaked.splice(0)) leak();
      closed.clear();
      expect(failed(outcomes).map(({ path }) => path.at(-1))).toEqual([fails]);
    },
    60_000,
  );
});

const closed = new Set<string>();
const leaked: (() => void)[] = [];
