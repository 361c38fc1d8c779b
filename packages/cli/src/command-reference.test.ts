import { expect, test } from 'vitest';
import { makeCommandReference } from './command-reference.js';

test('the reference in the docs is what the command says of itself (vitest -u writes it)', async () => {
  await expect(makeCommandReference()).toMatchFileSnapshot('../../../docs/cli-reference.md');
});

test('it has every command, and every document that is declared', () => {
  const reference = makeCommandReference();
  for (const name of [
    'engines',
    'pods',
    'ps',
    'inspect',
    'exec',
    'cp',
    'tz',
    'processes',
    'files',
    'cat',
    'logs',
    'events',
    'doctor',
    'serve',
    'completion',
  ]) {
    expect(reference).toContain(`\n## crikit ${name}\n`);
  }
  expect(reference).toContain('interface FileDocument {');
});
