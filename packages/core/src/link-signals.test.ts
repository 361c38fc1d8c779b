import { execFileSync } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { linkSignals } from './link-signals.js';

test('aborts with the first of its signals and gives that one’s reason', () => {
  const [first, second] = [new AbortController(), new AbortController()];
  const linked = linkSignals([first.signal, undefined, second.signal]);
  second.abort('second');
  first.abort('first');
  expect(linked.signal.reason).toBe('second');
});

test('is aborted from the beginning when one of its signals is', () => {
  expect(linkSignals([AbortSignal.abort('early')]).signal.reason).toBe('early');
});

test('lets go', () => {
  const controller = new AbortController();
  const linked = linkSignals([controller.signal]);
  linked.unlink();
  controller.abort();
  expect(linked.signal.aborted).toBe(false);
});

test('hears a time-out that nothing else refers to, whatever is collected meanwhile', () => {
  const script = `
    ${linkSignals.toString()}
    const { signal } = linkSignals([AbortSignal.timeout(200)]);
    const collecting = setInterval(gc, 20);
    const patience = setTimeout(() => process.exit(1), 5000);
    signal.addEventListener('abort', () => { clearInterval(collecting); clearTimeout(patience); });`;
  execFileSync(process.execPath, ['--expose-gc', '-e', script]);
});

test('aborts with its source, and by itself', () => {
  const source = new AbortController();
  const linked = linkSignals([source.signal]);
  const other = linkSignals([source.signal]);
  other.abort('own');
  expect([linked.signal.aborted, other.signal.reason, source.signal.aborted]).toEqual([false, 'own', false]);
  source.abort('given up');
  expect(linked.signal.reason).toBe('given up');
  expect(linkSignals([source.signal]).signal.reason).toBe('given up');
});

test('leaves nothing at a source that lives on', () => {
  const source = new AbortController();
  linkSignals([source.signal]).unlink();
  expect(getEventListeners(source.signal, 'abort')).toEqual([]);
});
