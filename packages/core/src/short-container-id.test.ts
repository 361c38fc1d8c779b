import { expect, it } from 'vitest';
import { shortContainerId, stripContainerIdScheme } from './short-container-id.js';

const id = '4f5e6d7c8b9a0123456789abcdef0123456789abcdef0123456789abcdef0123';

it('gives the first 12 characters, without the scheme', () => {
  expect(shortContainerId(id)).toBe('4f5e6d7c8b9a');
  expect(shortContainerId(`containerd://${id}`)).toBe('4f5e6d7c8b9a');
});

it('leaves short ids as they are', () => {
  expect(shortContainerId('4f5e')).toBe('4f5e');
  expect(shortContainerId('')).toBe('');
});

it('takes any scheme off, and nothing else', () => {
  expect(stripContainerIdScheme(`docker://${id}`)).toBe(id);
  expect(stripContainerIdScheme(`pouch://${id}`)).toBe(id);
  expect(stripContainerIdScheme(id)).toBe(id);
});
