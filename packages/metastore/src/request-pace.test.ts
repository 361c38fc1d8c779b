import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createFakeClock } from './fake-clock.js';
import { createRequestPace } from './request-pace.js';

const options = { requestSpacingMs: 1_000, maximumBackOffMs: 30_000 };

test('what fails for the first time after a good while is tried again at once', async () => {
  const clock = createFakeClock();
  const pace = createRequestPace({ ...options, clock });
  pace.noteRequest();
  await clock.advance(60_000);
  expect(pace.pauseMs({ failed: true })).toBe(0);
});

test('pauses grow up to the limit, and up to half more by chance', () => {
  const clock = createFakeClock();
  const smallest = createRequestPace({ ...options, clock, random: () => 0 });
  const largest = createRequestPace({ ...options, clock, random: () => 0.999_999 });
  const pauses = (pace: typeof smallest): number[] =>
    Array.from({ length: 9 }, () => Math.round(pace.pauseMs({ failed: true })));
  expect(pauses(smallest)).toEqual([0, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  expect(pauses(largest)).toEqual([0, 1_500, 3_000, 6_000, 12_000, 24_000, 45_000, 45_000, 45_000]);
  smallest.noteHealth();
  expect(smallest.failures).toBe(0);
  expect(smallest.pauseMs({ failed: true })).toBe(0);
});

test('a server that asks for more time gets it', () => {
  const pace = createRequestPace({ ...options, clock: createFakeClock() });
  expect(pace.pauseMs({ failed: true, retryAfterMs: 7_000 })).toBe(7_000);
});

test('requests that need no pause by themselves are one each spacing on average, however attempts end', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ requests: fc.integer({ min: 1, max: 20 }), tookMs: fc.nat(3_000), failed: fc.boolean() })),
      async (attempts) => {
        const clock = createFakeClock();
        const pace = createRequestPace({ ...options, clock });
        const startMs = clock.now();
        let sent = 0;
        for (const { requests, tookMs, failed } of attempts) {
          for (let count = 0; count < requests; count += 1) pace.noteRequest();
          sent += requests;
          await clock.advance(tookMs);
          if (!failed) pace.noteHealth();
          await clock.advance(pace.pauseMs({ failed }));
          expect(clock.now() - startMs).toBeGreaterThanOrEqual(sent * 1_000);
        }
      },
    ),
    { numRuns: 30 },
  );
});
