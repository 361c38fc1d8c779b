import { expect, test } from 'vitest';
import { convertPouchStatus, parsePouchStatusText } from './pouch-status.js';

test.each([
  ['Up 5 seconds', 'running'],
  ['Up 0 second', 'running'],
  ['Up 0 second(paused)', 'paused'],
  ['Exited (3) 4 seconds', 'exited'],
  ['Stopped (137) 1 second', 'exited'],
  ['created', 'created'],
  ['', 'unknown'],
  ['Upside down', 'unknown'],
])('the text "%s" means %s', (text, status) => {
  expect(parsePouchStatusText(text)).toBe(status);
});

test('a container that is paused is not running, whatever else is said', () => {
  expect(convertPouchStatus({ Status: 'running', Paused: true })).toBe('paused');
  expect(convertPouchStatus({ Status: 'stopped', Paused: false })).toBe('exited');
  expect(convertPouchStatus({ Status: 'something new' })).toBe('unknown');
});
