import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createChecksum } from './checksum.js';
import { readScript } from './copy-chunk-scripts.js';
import { isCrikitError } from './errors/crikit-error.js';
import { packChunkRecords } from './read-chunk-records.js';
import { unpackTar } from './unpack-tar.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crikit-records-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function unpack(chunks: Iterable<Buffer>): Promise<{ bytes: number; entries: number }> {
  const { tar, packed } = await packChunkRecords(
    (async function* () {
      yield* chunks;
    })(),
  );
  try {
    return await unpackTar(tar, join(folder, 'out'), { maxBytes: 1024 ** 2 });
  } finally {
    tar.destroy();
    await packed;
  }
}

/** As `base64` writes it. */
const inLines = (bytes: Buffer): string =>
  bytes
    .toString('base64')
    .replace(/.{76}/g, '$&\n')
    .replace(/[^\n]$/, '$&\n');
const record = (kind: string, name: string, bytes: number): string =>
  `+ ${kind} 644 0 0 1000 ${bytes}\n${inLines(Buffer.from(name))}.\n`;
const fileRecord = (name: string, content: Buffer): string => {
  const checksum = createChecksum();
  checksum.add(content);
  return `${record('f', name, content.length)}${inLines(content)}.\n${checksum.end()}\n`;
};

const cut = (text: string, sizes: readonly number[]): Buffer[] => {
  const bytes = Buffer.from(text, 'latin1');
  const chunks: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
};

test('what the script writes about a tree is that tree', async () => {
  const run = promisify(execFile);
  const make = `mkdir -p tree/sub 'tree/-odd name'; printf 'a\\000b' >tree/sub/file; : >tree/empty; ln -s /etc/passwd tree/link`;
  await run('sh', ['-c', make], { cwd: folder });
  const options = { encoding: 'buffer' as const };
  const { stdout } = await run('sh', ['-c', readScript, 'sh', join(folder, 'tree'), 'item'], options);
  expect(await unpack([stdout])).toEqual({ bytes: 3, entries: 6 });
  expect((await readdir(join(folder, 'out'))).sort()).toEqual(['-odd name', 'empty', 'link', 'sub']);
  expect(await readFile(join(folder, 'out/sub/file'), 'latin1')).toBe('a\0b');
  expect(await readlink(join(folder, 'out/link'))).toBe('/etc/passwd');
});

test('any files arrive as they are, wherever the stream is cut', async () => {
  const files = fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9 ]{0,9}$/), fc.uint8Array({ maxLength: 400 }), {
    maxKeys: 4,
  });
  await fc.assert(
    fc.asyncProperty(files, fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1 }), async (tree, sizes) => {
      const text = Object.entries(tree).map(([name, bytes]) => fileRecord(`item/${name}`, Buffer.from(bytes)));
      await unpack(cut(`${record('d', 'item', 0)}${text.join('')}`, sizes));
      for (const [name, bytes] of Object.entries(tree)) {
        expect(await readFile(join(folder, 'out', name))).toEqual(Buffer.from(bytes));
      }
      await rm(join(folder, 'out'), { recursive: true });
    }),
    { numRuns: 25 },
  );
}, 30_000);

test('any other bytes are a typed error, and leave nothing behind', async () => {
  const line = fc.oneof(
    fc.constantFrom('.', '+ f 644 0 0 1 5', '+ d 755 0 0 1 0', '+ l 777 0 0 1 3', '+ f 644 0 0 1 999999999999999', '-'),
    fc
      .constantFrom('item', 'item/a', '../up', '/etc', 'item/../up')
      .map((name) => Buffer.from(name).toString('base64')),
    fc.base64String({ maxLength: 80 }),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 30 }), fc.integer({ min: 1, max: 64 }), async (lines, size) => {
      const outcome = await unpack(cut(`${lines.join('\n')}\n`, [size])).catch((error: unknown) => error);
      if (outcome instanceof Error) {
        expect(isCrikitError(outcome) && outcome.code).toMatch(
          /^(PROTOCOL|COPY_FAILED|TOO_LARGE|UNSUPPORTED|INVALID_ARGUMENT|ALREADY_EXISTS)$/,
        );
        expect(await readdir(folder)).toEqual([]);
      } else {
        await rm(join(folder, 'out'), { recursive: true });
      }
      expect(await readdir(folder)).toEqual([]);
    }),
    { numRuns: 100 },
  );
}, 30_000);

test.each([
  ['a line without an end', [Buffer.alloc(4096, 'A')]],
  ['a name without an end', [Buffer.from('+ f 644 0 0 1 5\n'), ...Array(400).fill(Buffer.from(`${'A'.repeat(76)}\n`))]],
])('%s is given up before much is kept', async (_what, chunks) => {
  let taken = 0;
  const counted = (function* () {
    for (const chunk of chunks) {
      taken += chunk.length;
      yield chunk;
    }
    for (;;) {
      taken += 4096;
      yield Buffer.alloc(4096, 'A');
    }
  })();
  await expect(unpack(counted)).rejects.toMatchObject({ code: 'PROTOCOL' });
  expect(taken).toBeLessThan(64 * 1024);
});

test.each([
  ['has fewer bytes than was said', 'abc', 5],
  ['has more bytes than was said', 'abcdef', 5],
])('a file that %s changed meanwhile', async (_what, content, size) => {
  const text = `${record('f', 'item', size)}${inLines(Buffer.from(content))}.\n-\n`;
  await expect(unpack([Buffer.from(text)])).rejects.toMatchObject({ code: 'COPY_FAILED', retryable: true });
});

test('a file whose checksum is another one changed meanwhile', async () => {
  const text = fileRecord('item', Buffer.from('right')).replace(
    inLines(Buffer.from('right')),
    inLines(Buffer.from('wrong')),
  );
  await expect(unpack([Buffer.from(text)])).rejects.toMatchObject({ code: 'COPY_FAILED' });
  expect(await readdir(folder)).toEqual([]);
});
