import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import GithubSlugger from 'github-slugger';
import { expect, test } from 'vitest';
import { repositoryRoot } from '../setup/tool-environment.mjs';

/** Headings as the site that shows the files names them. */
function anchorsOf(text: string): Set<string> {
  const slugger = new GithubSlugger();
  const headings = [...withoutCode(text).matchAll(/^#{1,6} +(.+?) *#*$/gm)].map(([, heading = '']) => heading);
  return new Set(headings.map((heading) => slugger.slug(heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1'))));
}

function withoutCode(text: string): string {
  return text.replace(/^( *)(```+|~~~+).*?^\1\2 *$/gms, '');
}

function linksOf(text: string): string[] {
  const prose = withoutCode(text).replace(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)(?: "[^"]*")?\)/g)].map(([, target = '']) => target);
}

/** What is wrong with the links of one file, by what is on the disk. */
function brokenLinks(path: string, text = readFileSync(path, 'utf8')): string[] {
  return linksOf(text).flatMap((link) => {
    if (/^[a-z]+:/.test(link)) return [];
    const [target = '', anchor] = link.split('#');
    const targetPath = target === '' ? path : join(dirname(path), decodeURIComponent(target));
    const problem = (what: string) => [`${relative(repositoryRoot, path)}: ${link} ${what}`];
    if (!existsSync(targetPath)) return problem('does not exist');
    if (statSync(targetPath).isDirectory()) return problem('is a folder: the site of the docs needs a file');
    if (anchor === undefined || !targetPath.endsWith('.md')) return [];
    const anchors = anchorsOf(targetPath === path ? text : readFileSync(targetPath, 'utf8'));
    return anchors.has(anchor) ? [] : problem('names no heading of that page');
  });
}

const pages = execFileSync('git', ['ls-files', '*.md'], {
  cwd: repositoryRoot,
  encoding: 'utf8',
})
  .trim()
  .split('\n')
  // Deleted ones are listed until the deletion is committed.
  .filter((path) => existsSync(join(repositoryRoot, path)));

test('every link within the repository leads to a file and a heading', () => {
  expect(pages.length).toBeGreaterThan(30);
  expect(pages.flatMap((page) => brokenLinks(join(repositoryRoot, page)))).toEqual([]);
});

test('a link that leads nowhere is found', () => {
  const text = '# A b\n[ok](#a-b) [x](no-such.md) [y](#no-such-heading) [z](docs)\n```\n[code](no.md)\n```\n';
  expect(brokenLinks(join(repositoryRoot, 'README.md'), text)).toEqual([
    'README.md: no-such.md does not exist',
    'README.md: #no-such-heading names no heading of that page',
    'README.md: docs is a folder: the site of the docs needs a file',
  ]);
});

test('every guide is in the index', () => {
  const index = readFileSync(join(repositoryRoot, 'docs', 'README.md'), 'utf8');
  const guides = readdirSync(join(repositoryRoot, 'docs')).filter(
    (file) => file.endsWith('.md') && file !== 'README.md',
  );
  expect(guides.filter((guide) => !index.includes(`](${guide})`))).toEqual([]);
  const decisions = readFileSync(join(repositoryRoot, 'docs', 'decisions', 'README.md'), 'utf8');
  const numbered = readdirSync(join(repositoryRoot, 'docs', 'decisions')).filter((file) => /^\d/.test(file));
  expect(numbered.filter((file) => !decisions.includes(`](${file})`))).toEqual([]);
});
