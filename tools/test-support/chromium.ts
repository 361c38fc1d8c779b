import { describe } from 'vitest';
import { ensureInstalled, findProgram } from '../lab/machine.mjs';

const isCi = process.env.CI !== undefined && process.env.CI !== '' && process.env.CI !== 'false';

/**
 * The path of Chromium, which is installed from Debian's package where it is missing. Where that cannot be, the reason.
 */
export async function findChromium(): Promise<{ readonly path: string } | { readonly reason: string }> {
  const present = findProgram('chromium');
  if (present !== undefined) return { path: present };
  try {
    // Fonts are no dependency of it, and without any there is no text in a picture.
    await ensureInstalled({
      chromium: 'chromium',
      '/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf': 'fonts-dejavu-core',
    });
    const path = findProgram('chromium');
    return path === undefined ? { reason: 'chromium is not where its package puts it' } : { path };
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * A suite that needs a browser. Without one its tests are skipped, with the reason in the closing summary; on CI they
 * run all the same, and fail.
 */
export async function describeWithChromium(name: string, define: (chromiumPath: string) => void): Promise<void> {
  const found = await findChromium();
  if ('path' in found) describe(name, () => define(found.path));
  else if (isCi) describe(`${name} (${found.reason})`, () => define(''));
  else describe.skip(`${name} [skipped: ${found.reason.replaceAll(']', ')')}]`, () => define(''));
}
