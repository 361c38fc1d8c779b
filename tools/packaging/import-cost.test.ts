import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { libraries } from './public-packages.js';

/** What a program pays for an import, counted: times are for the benchmark. */
describe.each(libraries().filter(({ name }) => ['@crikit/core', '@crikit/engine-docker'].includes(name)))(
  '$name',
  ({ directory }) => {
    const entry = join(directory, 'dist', 'index.js');

    test('loads no streams, no sockets, no processes and nothing of a client library when it is imported', () => {
      const program = `await import(${JSON.stringify(pathToFileURL(entry).href)}); console.log(process.moduleLoadList.join('\\n'));`;
      const loaded = execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
      const expensive = ['stream', 'net', 'http', 'tls', 'crypto', 'child_process', 'internal/fs/streams'];
      // A program that prints loads a stream for that; the import must not have.
      const names = loaded.split('\n').map((line) => line.replace('NativeModule ', ''));
      expect(names).toContain('diagnostics_channel');
      expect(names.filter((name) => expensive.includes(name))).toEqual([]);
    });

    test('is at most three files of its own', () => {
      expect(filesLoadedWith(entry).size).toBeLessThanOrEqual(3);
    });
  },
);

/** A file and what it imports from files beside it, but for what it imports when it needs it. */
function filesLoadedWith(entry: string, found = new Set<string>()): Set<string> {
  if (found.has(entry)) return found;
  found.add(entry);
  for (const [, file = ''] of readFileSync(entry, 'utf8').matchAll(
    /^(?:import|\} from|export .* from) ?"(\.\/[^"]+)";$/gm,
  )) {
    filesLoadedWith(join(dirname(entry), file), found);
  }
  return found;
}
