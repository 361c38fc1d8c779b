import { isInvalidArgumentError } from '@crikit/core';
import { describe, expect, test } from 'vitest';
import { parseContainerPath, requireContainerPath } from './parse-container-path.js';
import { parseInstant } from './parse-instant.js';

const isMisuse = (run: () => unknown): boolean => {
  try {
    run();
    return false;
  } catch (error) {
    return isInvalidArgumentError(error);
  }
};

describe('a path of cp', () => {
  test.each([
    ['web-0:/etc/hosts', 'web-0', '/etc/hosts'],
    ['shop/web-0:/etc', 'shop/web-0', '/etc'],
    ['shop/web-0/main:/a:b', 'shop/web-0/main', '/a:b'],
    ['docker://4f5e6d:/a', 'docker://4f5e6d', '/a'],
    ['web-0:/', 'web-0', '/'],
  ])('%s is in a container', (text, target, path) => {
    expect(parseContainerPath(text)).toEqual({ target, path });
  });

  test.each(['/a:/b', './a:/b', '../a:/b', 'file', 'directory/file', '.', ''])('%s is of this machine', (text) => {
    expect(parseContainerPath(text)).toBeUndefined();
  });

  test('that is relative in a container is misuse', () => {
    expect(isMisuse(() => parseContainerPath('web-0:etc'))).toBe(true);
    expect(isMisuse(() => requireContainerPath('/etc/hosts'))).toBe(true);
  });
});

describe('a time of logs', () => {
  const now = Date.parse('2026-01-31T08:00:00Z');
  test.each([
    ['90s', now - 90_000],
    ['1h30m', now - 5_400_000],
    ['2d', now - 172_800_000],
    ['2026-01-30T08:00:00Z', now - 86_400_000],
    ['2026-01-31T08:00:00+01:00', now - 3_600_000],
  ])('%s is understood', (text, instant) => {
    expect(parseInstant(text, now)).toBe(instant);
  });

  test.each(['', '10', 'yesterday', '-5m', '2026-13-01', '5'])('%s is misuse', (text) => {
    expect(isMisuse(() => parseInstant(text, now))).toBe(true);
  });
});
