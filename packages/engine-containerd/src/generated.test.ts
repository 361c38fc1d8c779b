import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const home = join(import.meta.dirname, '..');

test('the generated code is what the script makes of the definitions', () => {
  const folder = mkdtempSync(join(tmpdir(), 'crikit-generated-'));
  try {
    execFileSync(process.execPath, [join(home, 'tools/generate.mjs'), folder]);
    const committed = join(home, 'src/generated');
    expect(readdirSync(folder).sort()).toEqual(readdirSync(committed).sort());
    for (const name of readdirSync(folder)) {
      expect(readFileSync(join(committed, name), 'utf8'), name).toBe(readFileSync(join(folder, name), 'utf8'));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
