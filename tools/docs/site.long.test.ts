import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { runCommand } from '../setup/run-command.mjs';
import { repositoryRoot } from '../setup/tool-environment.mjs';

test('the site of the docs builds without a warning, and its links lead somewhere', async () => {
  const out = mkdtempSync(join(tmpdir(), 'crikit-site-'));
  try {
    const typedoc = join(repositoryRoot, 'node_modules', 'typedoc', 'bin', 'typedoc');
    const outcome = await runCommand(process.execPath, [typedoc, '--treatWarningsAsErrors', '--out', out], {
      cwd: repositoryRoot,
      env: process.env,
      timeoutMs: 300_000,
      output: 'collect',
    });
    expect(outcome.ok, outcome.output).toBe(true);
    const pages = readdirSync(out, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.html'));
    expect(pages.length).toBeGreaterThan(200);
    expect(pages).toContain(join('documents', 'metastore.html'));
    expect(pages.flatMap((page) => deadLinks(join(out, page), out))).toEqual([]);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});

function deadLinks(page: string, site: string): string[] {
  const html = readFileSync(page, 'utf8');
  return [...html.matchAll(/<(?:a|link|script|img)\b[^>]* (?:href|src)="([^"#?]+)/g)].flatMap(([, target = '']) => {
    if (/^([a-z]+:|\/\/)/.test(target)) return [];
    const path = join(dirname(page), decodeURIComponent(target));
    if (existsSync(path) && statSync(path).isFile()) return [];
    return [`${relative(site, page)}: ${target}`];
  });
}
