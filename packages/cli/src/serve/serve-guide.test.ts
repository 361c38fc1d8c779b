/** docs/serve.md against what is served. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import openApi from './openapi.json' with { type: 'json' };
import { startServeFixture } from './serve-fixture.js';

const guide = readFileSync(join(import.meta.dirname, '../../../../docs/serve.md'), 'utf8');

test('every path is in the guide, and no other', () => {
  const told = [...guide.matchAll(/^\| `(\/[^`]*)`/gm)].map(([, path]) => path);
  expect(told).toEqual(Object.keys(openApi.paths));
});

test('every metric is in the guide, and no other', async () => {
  await using fixture = await startServeFixture();
  const { text } = await fixture.ask('/metrics');
  const served = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name);
  const told = [...guide.matchAll(/^\| `((?:crikit|process)_\w+)`/gm)].map(([, name]) => name);
  expect([...told].sort()).toEqual([...served].sort());
});

test('every code of an error is in the guide', () => {
  for (const code of openApi.components.schemas.Error.properties.error.properties.code.enum) {
    expect(guide).toContain(`\`${code}\``);
  }
});
