import { existsSync, readFileSync } from 'node:fs';
import { delimiter } from 'node:path';
import { describe } from 'vitest';
import { type EngineState, type LabState, labStatePath } from '../lab/lab.mjs';

/** A running engine of the lab, as the lab's state file describes it. */
export type LabEngine = EngineState;

type Found = { readonly engine: LabEngine } | { readonly reason: string };

// Stands in for an engine while a suite is collected only to count the tests that are skipped.
const absentEngine: LabEngine = {
  directory: '',
  socketPath: '',
  pid: 0,
  pidFile: '',
  version: '',
  dataRoot: '',
  execRoot: '',
  containerdSocketPath: '',
  cgroup: '',
  logPath: '',
};

/**
 * A suite that needs the lab's Docker daemon. Without one all its tests are skipped, and the reason is in the closing
 * summary of `npm test`. `define` runs even then, so that its tests are counted, with an engine whose strings are empty:
 * it must not connect outside of tests and hooks.
 */
export function describeWithDocker(name: string, define: (docker: LabEngine) => void): void {
  describeWithEngine('docker', name, define);
}

/** As `describeWithDocker`, for any engine that the lab knows by this name. */
export function describeWithEngine(engineName: string, name: string, define: (engine: LabEngine) => void): void {
  const found = findEngine(engineName);
  if ('engine' in found) describe(name, () => define(found.engine));
  else describe.skip(`${name} [skipped: ${found.reason.replaceAll(']', ')')}]`, () => define(absentEngine));
}

function findEngine(name: string): Found {
  const { CRIKIT_LAB_STATE: given, CRIKIT_LAB_SKIP: skip } = process.env;
  if (skip !== undefined) return { reason: skip };
  const paths = given?.split(delimiter) ?? [labStatePath()];
  // Each file of tests that runs at a time has a lab to itself, where there are several.
  const path = paths[(Number(process.env.VITEST_POOL_ID ?? 1) - 1) % paths.length] ?? '';
  if (!existsSync(path)) return { reason: 'no lab is up (npm run lab -- up)' };
  const state = JSON.parse(readFileSync(path, 'utf8')) as LabState;
  const engine = state.engines[name];
  return engine === undefined ? { reason: `the lab runs no ${name} (npm run lab -- up --engine ${name})` } : { engine };
}
