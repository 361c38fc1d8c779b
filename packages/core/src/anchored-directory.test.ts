import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openChildDirectory, openDirectory, removeTree } from './anchored-directory.js';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'crikit-anchored-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

it('removes a tree without following its links, and what shuts out its owner', async () => {
  await mkdir(join(directory, 'kept'));
  await writeFile(join(directory, 'kept/file'), 'x');
  await mkdir(join(directory, 'tree/deep/er'), { recursive: true });
  await writeFile(join(directory, 'tree/deep/file'), 'x');
  await symlink('../../kept', join(directory, 'tree/deep/link'));
  await chmod(join(directory, 'tree/deep'), 0o000);
  const parent = await openDirectory(directory);
  await removeTree(parent, 'tree');
  await removeTree(parent, 'absent');
  await parent.handle.close();
  expect(await readdir(directory)).toEqual(['kept']);
  expect(await readFile(join(directory, 'kept/file'), 'utf8')).toBe('x');
});

it('removes a link itself, not what it leads to', async () => {
  await mkdir(join(directory, 'kept'));
  await symlink('kept', join(directory, 'link'));
  const parent = await openDirectory(directory);
  await removeTree(parent, 'link');
  await parent.handle.close();
  expect(await readdir(directory)).toEqual(['kept']);
});

it('does not open a link as a child directory', async () => {
  await symlink('/', join(directory, 'link'));
  expect((await lstat(join(directory, 'link'))).isSymbolicLink()).toBe(true);
  const parent = await openDirectory(directory);
  await expect(openChildDirectory(parent, 'link')).rejects.toMatchObject({ code: 'ENOTDIR' });
  await parent.handle.close();
});
