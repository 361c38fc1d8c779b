import { defineConfig } from 'tsup';
import { packageConfig } from '../../tools/tsup/package-config.js';

// Built in, because it is not published: see docs/decisions.
export default defineConfig({ ...packageConfig(), noExternal: ['@crikit/dockerode-api'] });
