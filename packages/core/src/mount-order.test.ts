import { expect, it } from 'vitest';
import { sortMountPointsByLongSourceFirst } from './mount-order.js';

const mount = (source: string, destination: string) => ({ source, destination, readWrite: true });

it('puts the longest destination first, whatever the sources, and leaves the given array alone', () => {
  const mounts = Object.freeze([mount('/very/long/source', '/a'), mount('/s', '/a/b/c'), mount('/t', '/a/b')]);
  expect(sortMountPointsByLongSourceFirst(mounts).map(({ destination }) => destination)).toEqual([
    '/a/b/c',
    '/a/b',
    '/a',
  ]);
  expect(mounts[0]?.destination).toBe('/a');
});

it('keeps the order of mounts of equal length', () => {
  const sorted = sortMountPointsByLongSourceFirst([mount('/1', '/b'), mount('/2', '/a')]);
  expect(sorted.map(({ source }) => source)).toEqual(['/1', '/2']);
});
