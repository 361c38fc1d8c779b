import { defineConfig } from 'tsup';
import { packageConfig } from '../../tools/tsup/package-config.js';

// The reference lets TypeScript 6 and newer, which load no @types by themselves, find Buffer and the streams.
export default defineConfig(packageConfig({ declarationBanner: '/// <reference types="node" />' }));
