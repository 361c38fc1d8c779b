import { defineConfig } from 'tsup';
import { packageConfig } from '../../tools/tsup/package-config.js';

export default defineConfig({ ...packageConfig(), entry: ['src/crikit.ts'], dts: false });
