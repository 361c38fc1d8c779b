import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isNumericUser, parseGroup, parsePasswd, resolveUser } from './container-users.js';

const about = { engine: 'containerd', container: 'c' };
const files = {
  passwd: [
    'root:x:0:0:root:/root:/bin/sh',
    '# comment',
    'app:x:1000:1000::/:/bin/sh',
    '7:x:1001:1002::/:',
    'broken:x:a:b',
    '',
  ].join('\n'),
  group: ['root:x:0:', 'app:x:1000:', 'shared:x:2000:app,7', 'again:x:2000:app', 'audit:x:2001:app', 'broken'].join(
    '\n',
  ),
};

describe('a user', () => {
  test.each([
    ['app', 1000, 1000, [1000, 2000, 2001]],
    ['1000', 1000, 1000, [1000, 2000, 2001]],
    ['app:audit', 1000, 2001, [2001]],
    ['app:77', 1000, 77, [77]],
    ['4711', 4711, 0, [0]],
    ['4711:4712', 4711, 4712, [4712]],
    ['4711:audit', 4711, 2001, [2001]],
    [':audit', 0, 2001, [2001]],
    // A name of digits is the name first, as Docker has it.
    ['7', 1001, 1002, [1002, 2000]],
  ])('%s is resolved by the container’s files', (wanted, uid, gid, additionalGids) => {
    expect(resolveUser(wanted, files, about)).toEqual({ uid, gid, additionalGids });
  });

  test('by number works without any file', () => {
    const none = { passwd: undefined, group: undefined };
    expect(resolveUser('12:13', none, about)).toEqual({ uid: 12, gid: 13, additionalGids: [13] });
    expect(resolveUser('12', none, about)).toEqual({ uid: 12, gid: 0, additionalGids: [0] });
    expect(() => resolveUser('app', none, about)).toThrow(expect.objectContaining({ code: 'USER_NOT_FOUND' }));
  });

  test.each([['nobody'], ['app:nobody'], ['-1'], ['broken'], ['root ']])('%s is not found', (wanted) => {
    expect(() => resolveUser(wanted, files, about)).toThrow(
      expect.objectContaining({ code: 'USER_NOT_FOUND', applied: 'no' }),
    );
  });

  test.each([['4294967296'], ['2147483648'], ['0:99999999999']])('%s is no id', (wanted) => {
    expect(() => resolveUser(wanted, files, about)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  test('is numeric when nothing in it is a name', () => {
    expect(['0', '1:2', 'a', '1:a', '', ':', '1:'].map(isNumericUser)).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
      false,
    ]);
  });
});

describe('parsing', () => {
  test('survives any text, and gives ids that runc takes only', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab:,\n01239\r #\0é') }), (text) => {
        const ids = [
          ...parsePasswd(text).flatMap(({ uid, gid }) => [uid, gid]),
          ...parseGroup(text).map(({ gid }) => gid),
        ];
        expect(ids.every((id) => Number.isInteger(id) && id >= 0 && id <= 0x7fffffff)).toBe(true);
      }),
    );
  });

  test('gives back what was written', () => {
    const name = fc.string({ unit: fc.constantFrom(...'abcxyz019-_'), minLength: 1 });
    const id = fc.nat(0x7fffffff);
    fc.assert(
      fc.property(fc.array(fc.record({ name, uid: id, gid: id })), (entries) => {
        const text = entries.map((entry) => `${entry.name}:x:${entry.uid}:${entry.gid}:::\n`).join('');
        expect(parsePasswd(text)).toEqual(entries);
      }),
    );
    fc.assert(
      fc.property(fc.array(fc.record({ name, gid: id, members: fc.array(name) })), (entries) => {
        const text = entries.map((entry) => `${entry.name}:x:${entry.gid}:${entry.members.join(',')}\n`).join('');
        expect(parseGroup(text)).toEqual(entries);
      }),
    );
  });
});
