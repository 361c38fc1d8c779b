// @ts-check
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

/**
 * @typedef {object} OpenedChromium
 * @property {import('playwright-core').BrowserContext} context
 * @property {string[]} strayRequests what pages asked of other servers than those of this machine
 * @property {string[]} complaints errors and warnings on the console, and errors that nobody caught
 * @property {() => Promise<void>} close
 */

const quiet = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync'],
  // Nothing leaves this machine, whatever a page wants.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

/**
 * A headless browser with an empty profile, which goes with it.
 *
 * @param {string} path of Chromium
 * @param {Pick<import('playwright-core').BrowserContextOptions, 'viewport' | 'colorScheme' | 'deviceScaleFactor'>} [options]
 * @returns {Promise<OpenedChromium>}
 */
export async function openChromium(path, options = {}) {
  const profile = mkdtempSync(join(tmpdir(), 'crikit-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: path,
    headless: true,
    args: quiet,
    ...options,
  });
  /** @type {string[]} */
  const strayRequests = [];
  /** @type {string[]} */
  const complaints = [];
  context.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol !== 'data:' && url.hostname !== '127.0.0.1') strayRequests.push(request.url());
  });
  context.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  context.on('weberror', (error) => complaints.push(String(error.error())));
  return {
    context,
    strayRequests,
    complaints,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
