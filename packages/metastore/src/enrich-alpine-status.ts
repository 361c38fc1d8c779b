import { isPathNotFoundError } from '@crikit/core';
import type { Enricher } from './enricher.js';
import { isOutOfReach } from './root-out-of-reach.js';

export const alpineStatusEnricher: Enricher<'alpineStatus'> = {
  name: 'alpineStatus',
  timeoutMs: 5_000,
  appliesTo: () => true,
  run: async ({ openRoot }) => {
    try {
      const root = await openRoot();
      await root.stat('/etc/alpine-release');
      return 'yes';
    } catch (error) {
      if (isPathNotFoundError(error)) return 'no';
      if (isOutOfReach(error)) return 'unknown';
      throw error;
    }
  },
};
