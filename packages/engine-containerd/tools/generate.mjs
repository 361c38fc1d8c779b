// @ts-check
/** Writes src/generated (or the folder given) from proto/. Run it after a change there: `pnpm run generate`. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const home = dirname(dirname(fileURLToPath(import.meta.url)));
const output = resolve(process.argv[2] ?? join(home, 'src/generated'));
const binaries = join(home, 'node_modules/.bin');
const scratch = mkdtempSync(join(tmpdir(), 'crikit-generate-'));
try {
  const template = join(scratch, 'buf.gen.json');
  writeFileSync(
    template,
    JSON.stringify({
      version: 'v2',
      clean: true,
      plugins: [
        {
          local: join(binaries, 'protoc-gen-es'),
          out: output,
          opt: ['target=ts', 'import_extension=js'],
        },
      ],
    }),
  );
  execFileSync(join(binaries, 'buf'), ['generate', 'proto', '--template', template], {
    cwd: home,
    stdio: ['ignore', 'ignore', 'inherit'],
    // The cache is of no use for local files, and the home directory may not be writable.
    env: { ...process.env, BUF_CACHE_DIR: scratch },
  });
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
