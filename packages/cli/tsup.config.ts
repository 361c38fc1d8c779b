import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'tsup';
import { packageConfig } from '../../tools/tsup/package-config.js';

const here = import.meta.dirname;

export default defineConfig({
  ...packageConfig(),
  entry: { crikit: 'src/crikit.ts', 'doctor-check-process': 'src/doctor/check-process.ts' },
  dts: false,
  // The page of `serve` goes to browsers as it is.
  onSuccess: async () => cpSync(join(here, 'src/serve/page'), join(here, 'dist/page'), { recursive: true }),
});
