import { delimiter, join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Few, because the machines that run this have few cores and the engines want some too; `npm test` says how many.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['packages/*/src/**/*.test.ts', 'tools/{setup,test,test-support}/*.test.ts'],
        },
        resolve: {
          // Unit tests see the packages' source, so that they need no build and never meet a stale one.
          alias: [{ find: /^@crikit\/([a-z-]+)$/, replacement: join(import.meta.dirname, 'packages/$1/src/index.ts') }],
        },
      },
      {
        test: {
          name: 'integration',
          include: ['packages/*/test/**/*.test.ts'],
          exclude: ['**/*.long.test.ts'],
          // Files share no engine: more than one at a time only where there is more than one lab, as in `npm test`.
          fileParallelism: process.env.CRIKIT_LAB_STATE?.includes(delimiter) ?? false,
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          // What takes minutes: `npm run test:long`.
          name: 'long',
          include: [
            'packages/*/test/**/*.long.test.ts',
            'tools/docs/*.long.test.ts',
            // These do more of the same when they see the variable.
            'packages/core/test/{container-root,hostile-copy}.test.ts',
            'packages/engine-containerd/test/*.test.ts',
            'packages/engine-docker/test/docker-{pod-network,sessions}.test.ts',
            'packages/metastore/src/{day-of-churn,kubernetes-model}.test.ts',
            'packages/metastore/test/{docker,containerd}-store.test.ts',
          ],
          env: { CRIKIT_LONG_TESTS: '1' },
          fileParallelism: false,
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
      {
        test: {
          name: 'packaging',
          include: ['tools/packaging/*.test.ts'],
          exclude: ['**/*.matrix.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          // Every TypeScript, every Node, a release: `npm test -- matrix`, and a part of `npm run test:long`.
          name: 'matrix',
          include: ['tools/packaging/*.matrix.test.ts'],
          fileParallelism: false,
          maxConcurrency: 2,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
