import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe } from 'vitest';
import { labDirectory } from '../lab/lab-directory.mjs';

/** A running engine of the lab, as the lab's state file describes it. */
export interface LabEngine {
  readonly socketPath: string;
  readonly version: string;
  readonly pid: number;
}

/** The lab that the tests run against. */
export interface Lab extends LabEngine {
  /** The lab's folder. Private daemons of a test belong below it, so that they go with it. */
  readonly directory: string;
}

type FoundLab = { lab: Lab; reason?: undefined } | { lab?: undefined; reason: string };

/**
 * A suite that needs the lab's Docker daemon. Without one all its tests are skipped, and the reason is in the closing
 * summary of `npm test`. While skipped, `define` still runs so that its tests can be counted, with an empty socket path:
 * it must not connect outside of tests and hooks.
 */
export function describeWithDocker(name: string, define: (lab: Lab) => void): void {
  describeWithEngine('docker', name, define);
}

/** As `describeWithDocker`, for any engine that the lab knows. */
export function describeWithEngine(engine: string, name: string, define: (lab: Lab) => void): void {
  const { lab, reason } = findLab(engine);
  if (lab !== undefined) describe(name, () => define(lab));
  else
    describe.skip(`${name} [skipped: ${reason}]`, () => define({ socketPath: '', version: '', pid: 0, directory: '' }));
}

/**
 * The lab's Docker daemon, for code outside of a suite.
 *
 * @throws Error with the reason where there is none.
 */
export function requireDockerLab(): Lab {
  const { lab, reason } = findLab('docker');
  if (lab === undefined) throw new Error(reason);
  return lab;
}

function findLab(engine: string): FoundLab {
  const { CRIKIT_LAB_STATE: given, CRIKIT_LAB_SKIP: skip } = process.env;
  if (skip !== undefined) return { reason: skip };
  const path = given ?? join(labDirectory(), 'state.json');
  if (!existsSync(path)) return { reason: 'no lab is up (npm run lab -- up)' };
  const state = JSON.parse(readFileSync(path, 'utf8')) as { engines?: Record<string, LabEngine> };
  const found = state.engines?.[engine];
  if (found === undefined) return { reason: `the lab runs no ${engine} (npm run lab -- up --engine ${engine})` };
  return { lab: { ...found, directory: dirname(path) } };
}
