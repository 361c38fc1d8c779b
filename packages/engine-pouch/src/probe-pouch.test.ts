import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EngineContext, silentLogger } from '@crikit/core';
import { afterEach, describe, expect, test } from 'vitest';
import { startPouchReplay } from '../test/pouch-replay.js';
import { pouch } from './pouch.js';

const context = (): EngineContext => ({
  hostRoot: '/',
  environment: {},
  signal: new AbortController().signal,
  logger: silentLogger,
});

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(listener: RequestListener): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'crikit-probe-'));
  const socketPath = join(directory, 'some.sock');
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  cleanups.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true });
  });
  return socketPath;
}

describe('a probe', () => {
  test('finds Pouch, and says its version', async () => {
    const replay = await startPouchReplay(['version', 'info']);
    cleanups.push(async () => replay[Symbol.asyncDispose]());
    expect(await pouch({ socketPath: replay.socketPath }).probe(context())).toEqual({
      status: 'available',
      version: '1.3.0-bc5839e3',
      attempts: [
        {
          endpoint: replay.socketPath,
          origin: 'option',
          step: 'done',
          outcome: 'ok',
          message: expect.stringContaining('Pouch 1.3.0-bc5839e3, API 1.24'),
        },
      ],
    });
    expect(replay.requests).toEqual(['GET /version', 'GET /info']);
  });

  test('takes Docker for Docker', async () => {
    const socketPath = await serve((_, response) => {
      response.setHeader('Api-Version', '1.41');
      response.end(JSON.stringify({ Version: '20.10.24', ApiVersion: '1.41' }));
    });
    expect(await pouch({ socketPath }).probe(context())).toMatchObject({
      status: 'failed',
      attempts: [{ outcome: 'failed', code: 'NOT_POUCH', remedy: expect.stringContaining('@crikit/engine-docker') }],
    });
  });

  test.each<[string, RequestListener]>([
    [
      'has no PouchRootDir',
      (request, response) => response.end(JSON.stringify(request.url === '/version' ? { ApiVersion: '1.24' } : {})),
    ],
    ['answers something else', (_, response) => response.end('hello')],
  ])('takes what %s for something else', async (_, listener) => {
    const socketPath = await serve(listener);
    expect(await pouch({ socketPath }).probe(context())).toMatchObject({
      status: 'failed',
      attempts: [{ outcome: 'failed', step: 'handshake', code: 'NOT_POUCH' }],
    });
  });

  test('without a socket says so; nothing is wrong as long as nobody asked for it', async () => {
    const nowhere = join(tmpdir(), 'crikit-there-is-no-such-directory');
    expect(await pouch().probe({ ...context(), hostRoot: nowhere })).toMatchObject({
      status: 'not-applicable',
      attempts: [{ outcome: 'absent', origin: 'well-known' }],
    });
    expect(await pouch({ socketPath: join(nowhere, 'x.sock') }).probe(context())).toMatchObject({ status: 'failed' });
  });
});

test('connecting where there is no Pouch names what was tried', async () => {
  const connecting = pouch({ socketPath: '/no/such/pouchd.sock' }).connect(context());
  await expect(connecting).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    engine: 'pouch',
    message: expect.stringContaining('/no/such/pouchd.sock'),
  });
});
