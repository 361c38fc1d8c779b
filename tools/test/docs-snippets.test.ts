import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repositoryRoot } from '../setup/tool-environment.mjs';
import { checkTypes } from '../test-support/check-types.js';

/** What the snippets of the guide import from each other. */
const companions = {
  'acme-driver.ts': `
    import type { EngineContext, EngineDriver, ProbeReport } from '@crikit/core';
    export declare function probeAcme(options: { readonly socketPath?: string }, context: EngineContext): Promise<ProbeReport>;
    export declare function connectAcme(options: { readonly socketPath?: string }, context: EngineContext): Promise<EngineDriver>;`,
};

function snippetsOf(page: string): string[] {
  const text = readFileSync(join(repositoryRoot, 'docs', page), 'utf8');
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = '']) => code);
}

test('the snippets of the guide for engines compile', () => {
  const snippets = snippetsOf('write-an-engine.md');
  expect(snippets.length).toBeGreaterThanOrEqual(6);
  const files = Object.fromEntries(snippets.map((code, index) => [`snippet-${index + 1}.ts`, code]));
  expect(checkTypes({ ...files, ...companions, 'acme.ts': snippets[0] ?? '' })).toEqual([]);
}, 60_000);

test('a snippet that is wrong is found', () => {
  const wrong = `import { registerEngine } from '@crikit/core';\nregisterEngine({ type: 'acme' });\n`;
  expect(checkTypes({ 'wrong.ts': wrong })).toEqual([expect.stringMatching(/^wrong\.ts:2: /)]);
}, 60_000);
