import { execFileSync } from 'node:child_process';
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
