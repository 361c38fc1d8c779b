import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { linkController } from './link-controller.js';

test('aborts with its source, and by itself', () => {
  const source = new AbortController();
  const linked = linkController(source.signal);
  const other = linkController(source.signal);
  other.abort('own');
  expect([linked.signal.aborted, other.signal.reason, source.signal.aborted]).toEqual([false, 'own', false]);
  source.abort('given up');
  expect(linked.signal.reason).toBe('given up');
  expect(linkController(source.signal).signal.reason).toBe('given up');
});

test('leaves nothing at a source that lives on', () => {
  const source = new AbortController();
  linkController(source.signal).unlink();
  expect(getEventListeners(source.signal, 'abort')).toEqual([]);
});
