import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeApiReport } from './api-report.js';
import { libraries } from './public-packages.js';

describe.each(libraries())('$name', (publicPackage) => {
  test('exports what its api-report.md says', async () => {
    const { text, problems } = makeApiReport(publicPackage);
    expect(problems).toEqual([]);
    await expect(
      text,
      'The public surface is not what api-report.md says. If that is meant, run `npm run records`, commit the report and describe the change in a changeset.',
    ).toMatchFileSnapshot(join(publicPackage.directory, 'api-report.md'));
  }, 60_000);
});
