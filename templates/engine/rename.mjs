// `node rename.mjs acme`: makes the example yours, in file names and text, and goes away.
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const [name = ''] = process.argv.slice(2);
if (!/^[a-z][a-z0-9]*$/.test(name)) {
  console.error('Usage: node rename.mjs <type of your engine: one lower-case word>');
  process.exit(2);
}
const root = import.meta.dirname;
rmSync(join(root, 'rename.mjs'));
const files = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name))
  .filter((path) => !/[/\\](node_modules|dist|\.git)[/\\]/.test(path) && basename(path) !== 'package-lock.json');
for (const path of files) {
  const text = readFileSync(path, 'utf8')
    .replaceAll('example', name)
    .replaceAll('Example', `${name[0].toUpperCase()}${name.slice(1)}`)
    .replaceAll('EXAMPLE', name.toUpperCase());
  writeFileSync(path, text);
  renameSync(path, join(dirname(path), basename(path).replaceAll('example', name)));
}
console.log(`${files.length} files are about ${name} now.`);
