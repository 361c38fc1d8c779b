/** A caller who gives up gets an answer at once, and the driver stops too. */
import assert from 'node:assert/strict';
import { type ContainerReference, isCrikitError } from '@crikit/core';
import type { DriverFixture, DriverSuiteOptions, FixtureContainer } from './engine-fixture.js';
import { skipTest } from './suite-runner.js';

/** A driver that listens to its signal needs no more; core's own deadlines are far longer. */
const atOnceMs = 2_000;

export function describeAbortBehaviour({ runner, createFixture }: DriverSuiteOptions): void {
  const { describe, test, beforeAll, afterAll } = runner;

  describe('abort behaviour', () => {
    let fixture: DriverFixture;
    let container: FixtureContainer;
    let reference: ContainerReference;
    beforeAll(async () => {
      fixture = await createFixture();
      container = await fixture.runContainer();
      ({ reference } = await fixture.engine.getContainerDetail(container.target));
    });
    afterAll(async () => {
      await fixture?.close();
    });

    const settlesAtOnce = async <Value>(what: string, call: Promise<Value>): Promise<Value> => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${what} did not settle within ${atOnceMs} ms`)), atOnceMs);
      });
      try {
        return await Promise.race([call, late]);
      } finally {
        clearTimeout(timer);
      }
    };
    const request = { cmd: ['sleep', '1'], env: [], tty: false, stdin: false } as const;
    const driverCalls = {
      listAllContainers: (signal: AbortSignal) => fixture.driver.listAllContainers({ signal }),
      getContainerDetails: async (signal: AbortSignal) => {
        const [outcome] = await fixture.driver.getContainerDetails([reference], { signal });
        // One answer for each, or one for all: both say that there is no detail.
        if (outcome !== undefined && 'error' in outcome) throw outcome.error;
      },
      getSource: (signal: AbortSignal) => fixture.driver.getSource(reference, { signal }),
      startExec: async (signal: AbortSignal) => {
        const handle = await fixture.driver.startExec(reference, request, { signal });
        await handle[Symbol.asyncDispose]();
      },
    };

    test('what is aborted beforehand is not even asked', async () => {
      const signal = AbortSignal.abort(new Error('never mind'));
      await assert.rejects(fixture.engine.listAllContainers({ signal }), { code: 'ABORTED', applied: 'no' });
      const detail = fixture.engine.getContainerDetail(container.target, { signal });
      await assert.rejects(detail, { code: 'ABORTED', applied: 'no' });
      await assert.rejects(fixture.engine.getSource(container.target, { signal }), { code: 'ABORTED', applied: 'no' });
      const command = fixture.engine.exec(container.target, { cmd: ['true'], signal });
      await assert.rejects(command, { code: 'ABORTED', applied: 'no' });
    });

    for (const name of Object.keys(driverCalls) as (keyof typeof driverCalls)[]) {
      test(`the driver’s ${name} ends with its signal, by a typed error`, async () => {
        const before = driverCalls[name](AbortSignal.abort(new Error('never mind')));
        const error = await settlesAtOnce(
          name,
          before.then(
            () => undefined,
            (reason: unknown) => reason,
          ),
        );
        assert.ok(isCrikitError(error), `no typed error: ${String(error)}`);

        const caller = new AbortController();
        const during = driverCalls[name](caller.signal);
        caller.abort(new Error('never mind'));
        await settlesAtOnce(
          name,
          during.then(
            () => undefined,
            (reason: unknown) => assert.ok(isCrikitError(reason), `no typed error: ${String(reason)}`),
          ),
        );
      });
    }

    test('a subscription to events ends with its signal', async (...context) => {
      const { events } = fixture.driver.features;
      if (events === undefined) {
        skipTest(context, 'the engine declares no events');
        return;
      }
      const opening = events.openEvents(() => {}, { signal: AbortSignal.abort() });
      const error = await settlesAtOnce(
        'openEvents',
        opening.then(
          (feed) => feed[Symbol.asyncDispose](),
          (reason: unknown) => reason,
        ),
      );
      assert.ok(isCrikitError(error), `no typed error: ${String(error)}`);
    });

    test('a reader of changes ends with its signal', async () => {
      const caller = new AbortController();
      const changes = fixture.engine.events({ signal: caller.signal });
      await changes.next();
      caller.abort();
      await settlesAtOnce(
        'events',
        (async () => {
          for await (const _ of changes);
        })(),
      );
    });

    test('the engine works on after all that', async () => {
      assert.equal((await fixture.engine.exec(container.target, { cmd: ['true'] })).exitCode, 0);
      const list = await fixture.engine.listAllContainers();
      assert.ok(list.some((found) => found.reference.id === container.id && found.status === 'running'));
    });
  });
}
