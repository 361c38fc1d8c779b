import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { describeWithChromium } from '../../../tools/test-support/chromium.js';
import { createHttpInterface } from '../src/serve/create-http-interface.js';
import { type ServeFixture, startServeFixture } from '../src/serve/serve-fixture.js';
import { type OpenedChromium, openChromium } from './open-chromium.mjs';

await describeWithChromium('the page of serve', (chromiumPath) => {
  let chromium: OpenedChromium;
  let fixture: ServeFixture;
  let page: Page;

  beforeAll(async () => {
    chromium = await openChromium(chromiumPath, { viewport: { width: 1400, height: 900 } });
  });

  afterAll(async () => chromium?.close());

  beforeEach(async () => {
    fixture = await startServeFixture({ events: { statusIntervalMs: 50 } });
    const { engine, store } = fixture;
    engine.addPod({
      namespace: 'shop',
      name: 'web-0',
      labels: { app: 'web' },
      containers: [
        { k8sName: 'web', image: 'registry.example/web:1.2', env: { PASSWORD: 'hunter2' } },
        { k8sName: 'log-sidecar', image: 'registry.example/logs:3' },
      ],
    });
    engine.addPod({ namespace: 'bank', name: 'ledger-0', containers: [{ k8sName: 'ledger' }] });
    const alone = engine.addContainer({ name: 'alone', status: 'running' });
    await store.waitFor({ cid: alone });
    page = await chromium.context.newPage();
    page.setDefaultTimeout(10_000);
    await page.goto(`http://127.0.0.1:${fixture.server.port}/?token=${fixture.token}`);
    await page.getByRole('row', { name: 'ledger-0' }).waitFor();
  });

  afterEach(async () => {
    await page?.close();
    await fixture?.[Symbol.asyncDispose]();
  });

  const names = (): Promise<string[]> => page.locator('#rows tr td.name').allTextContents();

  // The page draws once a frame.
  const soon = <Value>(read: () => Promise<Value>) => expect.poll(read, { timeout: 10_000 });
  const focusedName = (): Promise<string | null> => page.locator('#rows tr:focus td.name').textContent();

  test('shows pods with their containers, and the rest, without the token in the address', async () => {
    await soon(names).toEqual([
      ...['bank/ledger-0', 'ledger', 'shop/web-0', 'web', 'log-sidecar'],
      ...['Containers of no pod', 'alone'],
    ]);
    expect(page.url()).toBe(`http://127.0.0.1:${fixture.server.port}/`);
    const badge = page.locator('tr', { hasText: 'log-sidecar' }).locator('.role');
    expect(await badge.textContent()).toBe('sidecar');
    expect(await badge.getAttribute('title')).toContain('name:sidecar');
    await soon(() => page.locator('#sources').textContent()).toContain('memory');
    await soon(() => page.locator('#node').textContent()).toContain('node-1');
    await page.getByLabel('sandboxes').check();
    await soon(async () => (await names()).filter((name) => name === 'sandbox')).toHaveLength(2);
  });

  test('changes appear by themselves: new, ended, gone, and an engine that goes and returns', async () => {
    const { engine } = fixture;
    const id = engine.addContainer({ name: 'newcomer', status: 'running' });
    const row = page.locator('tr', { hasText: 'newcomer' });
    await row.waitFor();
    engine.stopContainer(id, 3);
    await row.getByText('exited (3)').waitFor();
    engine.removeContainer(id);
    await row.waitFor({ state: 'detached' });

    engine.goAway();
    await page.locator('.source', { hasText: 'memory' }).getByText('stale').waitFor();
    await page.locator('#diagnosis').getByText('stale').first().waitFor();
    engine.comeBack();
    await page.locator('.source', { hasText: 'memory' }).getByText('live').waitFor();
    await page.locator('#diagnosis').waitFor({ state: 'hidden' });
  });

  test('the filter takes words, fields and their negation, and stays in the address', async () => {
    const filter = page.getByRole('searchbox', { name: 'Filter' });
    const shows = async (text: string, expected: readonly string[]): Promise<void> => {
      await filter.fill(text);
      await soon(names).toEqual(expected);
    };
    await shows('LEDGER', ['bank/ledger-0', 'ledger']);
    await shows('role:sidecar', ['shop/web-0', 'log-sidecar']);
    await shows('ns:shop -role:sidecar', ['shop/web-0', 'web']);
    await shows('image:web:1', ['shop/web-0', 'web']);
    await shows('constructor:x', []);
    await soon(() => page.locator('#empty').textContent()).toContain('Nothing fits');
    await shows('alone', ['Containers of no pod', 'alone']);
    await page.reload();
    await soon(names).toEqual(['Containers of no pod', 'alone']);
  });

  test('details tell why, follow changes, and never show a value of the environment', async () => {
    await page.locator('tr', { hasText: 'registry.example/web' }).click();
    const details = page.getByRole('complementary', { name: 'Details' });
    await details.getByText(/Its role is biz/).waitFor();
    expect(await details.textContent()).toContain('PASSWORD');
    expect(await page.content()).not.toContain('hunter2');
    await details.getByRole('button', { name: 'shop/web-0' }).click();
    await details.getByRole('heading', { name: 'shop/web-0' }).waitFor();
    await details.getByRole('button', { name: /^web/ }).click();
    await details.getByRole('heading', { name: 'web' }).waitFor();
    const id = fixture.store.getContainersByName('web')[0]?.id ?? '';
    fixture.engine.stopContainer(id, 7);
    await details.getByText('exited with 7').waitFor();
    fixture.engine.removeContainer(id);
    await details.getByText('(gone)').waitFor();
  });

  test('everything is done by the keyboard', async () => {
    await page.keyboard.press('/');
    await page.keyboard.type('shop');
    await soon(names).toEqual(['shop/web-0', 'web', 'log-sidecar']);
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    await soon(focusedName).toBe('web');
    await page.keyboard.press('Enter');
    const details = page.getByRole('complementary', { name: 'Details' });
    await details.getByRole('heading', { name: 'web' }).waitFor();
    // A change elsewhere does not take the focus away.
    const id = fixture.engine.addContainer({ name: 'shop-keeper', status: 'running' });
    await page.locator('tr', { hasText: 'shop-keeper' }).waitFor();
    fixture.engine.removeContainer(id);
    await page.locator('tr', { hasText: 'shop-keeper' }).waitFor({ state: 'detached' });
    await page.keyboard.press('Escape');
    await details.waitFor({ state: 'hidden' });
    await soon(focusedName).toBe('web');
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('Escape');
    await soon(() => page.getByRole('searchbox', { name: 'Filter' }).inputValue()).toBe('');
  });

  test('the text of a container is never markup', async () => {
    const evil = '<img src=x onerror="document.title=1">';
    fixture.engine.addContainer({ name: evil, image: evil, labels: { [evil]: evil }, status: 'running' });
    await page.locator('tr', { hasText: '<img' }).click();
    await page.getByRole('complementary', { name: 'Details' }).getByRole('heading', { name: evil }).waitFor();
    expect(await page.locator('main img, aside img').count()).toBe(0);
    await soon(() => page.title()).toBe('node-1 · crikit');
  });

  test('a server that goes, or comes back with another token, is told of, and the last state stays to be read', async () => {
    await fixture.server.close();
    await page.locator('#link', { hasText: 'connection lost' }).waitFor();
    expect(await names()).toContain('shop/web-0');

    const { store, server } = fixture;
    const onError = (error: unknown): void => expect.fail(String(error));
    const other = await createHttpInterface({ store, host: '127.0.0.1', port: server.port, token: 'another', onError });
    await page.locator('#link', { hasText: 'open the address' }).waitFor();
    await other.close();
    // The browser itself tells its console of each connection that fails, or is refused.
    chromium.complaints.length = 0;
  });

  test('nothing was asked of another server, and nothing was complained of', () => {
    expect(chromium.strayRequests).toEqual([]);
    expect(chromium.complaints.filter((text) => !text.includes('ERR_CONNECTION_REFUSED'))).toEqual([]);
  });
});
