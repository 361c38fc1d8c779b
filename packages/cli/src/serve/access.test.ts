import { expect, test } from 'vitest';
import { createAccess, createToken, isHostAllowed, isLoopback, requireToken } from './access.js';

test.each([
  ['127.0.0.1:9847', '127.0.0.1', true],
  ['127.0.0.1', '127.0.0.1', true],
  ['127.8.9.1:1', '127.0.0.1', true],
  ['localhost:8080', '127.0.0.1', true],
  ['LOCALHOST', '127.0.0.1', true],
  ['[::1]:9847', '127.0.0.1', true],
  ['evil.example:9847', '127.0.0.1', false],
  ['localhost.evil.example', '127.0.0.1', false],
  ['127.0.0.1.evil.example', '127.0.0.1', false],
  ['127.0.0.1@evil.example', '127.0.0.1', false],
  ['127.evil', '127.0.0.1', false],
  ['10.0.0.9:9847', '127.0.0.1', false],
  ['', '127.0.0.1', false],
  [undefined, '127.0.0.1', false],
  ['10.0.0.9:9847', '10.0.0.9', true],
  ['10.0.0.8:9847', '10.0.0.9', false],
  ['10.0.0.9:9847', '0.0.0.0', true],
  ['[fd00::9]:9847', '::', true],
  ['evil.example', '0.0.0.0', false],
])('Host %j at a server on %s is allowed: %s', (header, listening, allowed) => {
  expect(isHostAllowed(header, listening)).toBe(allowed);
});

test('only what never leaves this machine is loopback', () => {
  expect(['127.0.0.1', '127.1.2.3', '::1', 'localhost'].every(isLoopback)).toBe(true);
  expect(['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', '127.0.0.1.example'].some(isLoopback)).toBe(false);
});

test('every new token is another, and good enough to be given', () => {
  const tokens = new Set(Array.from({ length: 50 }, createToken));
  expect(tokens.size).toBe(50);
  for (const token of tokens) expect(requireToken(token)).toBe(token);
});

test.each(['', 'short', 'fifteen-charact', 'with a space in the middle', 'a-line-end-in-it\n'])(
  'the token %j is refused',
  (token) => {
    expect(() => requireToken(token)).toThrow(/at least 16 characters/);
  },
);

test('the token counts as bearer, its stand-in as cookie, and neither in the place of the other', () => {
  const token = createToken();
  const access = createAccess(token);
  const cookie = access.cookie(9847).split(';')[0] ?? '';
  expect(access.isTokenRight(token)).toBe(true);
  expect(access.isTokenRight(`${token}x`)).toBe(false);
  expect(access.isAuthorized({ authorization: `Bearer ${token}` })).toBe(true);
  expect(access.isAuthorized({ authorization: `bearer ${token}` })).toBe(true);
  expect(access.isAuthorized({ cookie: `theme=dark; crikit-1=other; ${cookie}` })).toBe(true);
  expect(cookie).not.toContain(token);

  expect(access.isAuthorized({})).toBe(false);
  expect(access.isAuthorized({ authorization: `Basic ${token}` })).toBe(false);
  expect(access.isAuthorized({ authorization: token })).toBe(false);
  expect(access.isAuthorized({ authorization: `Bearer ${cookie.split('=')[1]}` })).toBe(false);
  expect(access.isAuthorized({ cookie: `crikit-9847=${token}` })).toBe(false);
  expect(access.isAuthorized({ authorization: 'Bearer wrong', cookie })).toBe(false);
  expect(createAccess(createToken()).isAuthorized({ cookie })).toBe(false);
});
