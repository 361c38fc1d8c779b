import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { convertPouchEvent } from './pouch-events.js';

/** The recorded stream, without its chunks. */
const recorded = readFileSync(join(import.meta.dirname, '../test/recordings/events-stream.raw'), 'latin1')
  .split('\n')
  .filter((line) => line.startsWith('{'))
  .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('an event', () => {
  test('of each recorded kind means what it says, and a stop is told by the end that follows it', () => {
    expect(recorded.map((event) => [event.action, convertPouchEvent(event)?.action])).toEqual([
      ['create', 'created'],
      ['start', 'started'],
      ['create', 'created'],
      ['start', 'started'],
      ['die', 'exited'],
      ['create', 'created'],
      ['start', 'started'],
      ['stop', undefined],
      ['die', 'exited'],
      ['create', 'created'],
      ['start', 'started'],
      ['pause', 'paused'],
      ['create', 'created'],
      ['create', 'created'],
      ['start', 'started'],
      ['top', undefined],
      ['top', undefined],
      ['stop', undefined],
      ['unpause', 'resumed'],
      ['create', 'created'],
      ['rename', 'updated'],
      ['destroy', 'removed'],
    ]);
  });

  test('of an end has its exit code, its container and the time in milliseconds', () => {
    const died = recorded.find(({ action }) => action === 'die') as Record<string, unknown>;
    expect(convertPouchEvent(died)).toEqual({
      action: 'exited',
      reference: { scope: '', id: died.id },
      timeMs: Math.floor((died.timeNano as number) / 1_000_000),
      exitCode: 3,
    });
  });

  test('that is Pouch’s complaint is thrown', () => {
    expect(() => convertPouchEvent({ message: 'invalid filter' })).toThrow('invalid filter');
  });

  test('in Docker’s spelling is nothing', () => {
    expect(convertPouchEvent({ Type: 'container', Action: 'start', Actor: { ID: 'aa' } })).toBeUndefined();
  });
});
