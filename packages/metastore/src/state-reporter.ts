import type { CrikitError } from '@crikit/core';
import type { PodSourceContext, PodSourceState } from './pod-source.js';

export interface StateReporter {
  /** Passes on what differs from what was told last; `sinceMs` stands while state and backend stay. */
  report(state: PodSourceState['state'], backend: string, error?: CrikitError): void;
}

export function createStateReporter({ clock, onState }: Pick<PodSourceContext, 'clock' | 'onState'>): StateReporter {
  let last: PodSourceState | undefined;
  return {
    report: (state, backend, error) => {
      const isSame = last?.state === state && last.backend === backend;
      if (isSame && last?.error?.message === error?.message) return;
      last = {
        state,
        backend,
        sinceMs: isSame && last !== undefined ? last.sinceMs : clock.now(),
        ...(error === undefined ? {} : { error }),
      };
      onState(last);
    },
  };
}
