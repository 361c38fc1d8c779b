import { type CheckSettings, defaultServiceAccountDirectory } from './check-settings.js';
import type { CheckContext, CheckResult } from './check-task.js';

/** For tests: what a check gets, outside of any cluster unless the test says otherwise. */
export function contextOf(
  settings: Partial<CheckSettings> = {},
  environment: CheckContext['environment'] = {},
): CheckContext {
  return {
    settings: {
      hostRoot: '/',
      engineTypes: [],
      containerdNamespaces: [],
      pods: 'auto',
      serviceAccountDirectory: defaultServiceAccountDirectory,
      ...settings,
    },
    environment,
    signal: AbortSignal.timeout(60_000),
  };
}

/** The ids of what was found, each with its severity. */
export function idsOf({ findings }: CheckResult): string[] {
  return findings.map(({ id, severity }) => `${severity} ${id}`);
}
