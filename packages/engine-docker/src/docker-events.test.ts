import { PassThrough } from 'node:stream';
import { type EngineEvent, isEngineUnavailableError, isProtocolError } from '@crikit/core';
import { createDaemonEventFeed } from '@crikit/dockerode-api';
import { describe, expect, test } from 'vitest';
import { convertDockerEvent } from './docker-events.js';

/** As dockerd 20.10.24 sends it. */
const died = {
  status: 'die',
  id: 'aa',
  from: 'busybox:1',
  Type: 'container',
  Action: 'die',
  Actor: { ID: 'aa', Attributes: { exitCode: '137', image: 'busybox:1', name: 'web' } },
  scope: 'local',
  time: 1795438000,
  timeNano: Number('1795438000123456789'),
};

function feedOf(source: PassThrough) {
  const events: EngineEvent[] = [];
  return {
    events,
    feed: createDaemonEventFeed(source, (event) => events.push(event), convertDockerEvent, {
      product: 'Docker',
      engine: 'docker:test',
    }),
  };
}

describe('an event', () => {
  test('of an end has the exit code and the time in milliseconds', () => {
    expect(convertDockerEvent(died)).toEqual({
      action: 'exited',
      reference: { scope: '', id: 'aa' },
      timeMs: 1795438000123,
      exitCode: 137,
    });
  });

  test.each([
    ['create', 'created'],
    ['start', 'started'],
    ['die', 'exited'],
    ['pause', 'paused'],
    ['unpause', 'resumed'],
    ['destroy', 'removed'],
    ['oom', 'out-of-memory'],
    ['rename', 'updated'],
    ['update', 'updated'],
  ])('%s means %s', (name, action) => {
    expect(convertDockerEvent({ ...died, Action: name })?.action).toBe(action);
  });

  test.each(['exec_create: sh', 'exec_start: sh', 'exec_die', 'attach', 'top', 'health_status: healthy', 'kill'])(
    '%s changes no container',
    (name) => {
      expect(convertDockerEvent({ ...died, Action: name })).toBeUndefined();
    },
  );

  test('of another type, without an actor or without an id is left out', () => {
    expect(convertDockerEvent({ ...died, Type: 'network' })).toBeUndefined();
    expect(convertDockerEvent({ ...died, Actor: undefined })).toBeUndefined();
    expect(convertDockerEvent({ ...died, Actor: { ID: '' } })).toBeUndefined();
  });

  test('without nanoseconds has the seconds', () => {
    const { timeNano: _, ...older } = died;
    expect(convertDockerEvent(older)?.timeMs).toBe(1795438000_000);
  });
});

describe('a feed', () => {
  test('reads several documents of one piece, and one of several pieces', async () => {
    const source = new PassThrough();
    const { events, feed } = feedOf(source);
    const text = JSON.stringify(died);
    source.write(`${text}\n${text}\n${text.slice(0, 50)}`);
    source.end(`${text.slice(50)}\n`);
    await feed.ended;
    expect(events).toHaveLength(3);
  });

  test.each([
    ['ends', (source: PassThrough) => source.end()],
    ['fails', (source: PassThrough) => source.destroy(Object.assign(new Error('reset'), { code: 'ECONNRESET' }))],
    ['is closed without an end', (source: PassThrough) => source.destroy()],
    ['is aborted', (source: PassThrough) => source.emit('aborted')],
  ])('is lost when its source %s', async (_, end) => {
    const source = new PassThrough();
    const { feed } = feedOf(source);
    end(source);
    const { error } = await feed.ended;
    expect(isEngineUnavailableError(error)).toBe(true);
    expect(error).toMatchObject({ retryable: true, engine: 'docker:test' });
  });

  test('ends without an error when it is disposed of, and lets its source go', async () => {
    const source = new PassThrough();
    const { feed } = feedOf(source);
    await feed[Symbol.asyncDispose]();
    expect(await feed.ended).toEqual({});
    expect(source.destroyed).toBe(true);
  });

  test('ends with an error that says so when its source is no JSON', async () => {
    const source = new PassThrough();
    const { feed } = feedOf(source);
    source.write('Bad Gateway');
    expect(isProtocolError((await feed.ended).error)).toBe(true);
    expect(source.destroyed).toBe(true);
  });
});
