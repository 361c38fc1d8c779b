import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, type BrowserContextOptions, chromium } from 'playwright-core';

export interface OpenedChromium extends AsyncDisposable {
  readonly context: BrowserContext;
  /** What pages asked of other servers than those of this machine. */
  readonly strayRequests: readonly string[];
  /** Errors and warnings on the console, and errors that nobody caught. */
  readonly complaints: string[];
}

const quiet = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync'],
  // Nothing leaves this machine, whatever a page wants.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

/** A headless browser with an empty profile, which goes with it. */
export async function openChromium(
  path: string,
  options: Pick<BrowserContextOptions, 'viewport' | 'colorScheme' | 'deviceScaleFactor'> = {},
): Promise<OpenedChromium> {
  const profile = mkdtempSync(join(tmpdir(), 'crikit-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: path,
    headless: true,
    args: quiet,
    ...options,
  });
  const strayRequests: string[] = [];
  const complaints: string[] = [];
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
    [Symbol.asyncDispose]: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
