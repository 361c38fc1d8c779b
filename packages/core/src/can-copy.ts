import type { ContainerStatus } from './container.js';
import type { EngineDriver } from './engine-contract.js';
import { isRuncLikeRuntime } from './runc-like-runtime.js';

/** What of a container decides whether something can be copied. */
export interface CopyableFacts {
  readonly status?: ContainerStatus | undefined;
  readonly pid?: number | undefined;
  readonly runtime?: string | undefined;
  readonly withheld?: Readonly<Record<string, string>> | undefined;
}

/** Whether any way to copy could serve. What is not known counts as serving. */
export function canCopy(driver: EngineDriver, { status, pid, runtime, withheld }: CopyableFacts): boolean {
  if (status === undefined || status === 'running') return true;
  if (driver.features.archive !== undefined && withheld?.archive === undefined) return true;
  return driver.locality === 'this-kernel' && pid !== undefined && pid > 0 && isRuncLikeRuntime(runtime);
}
