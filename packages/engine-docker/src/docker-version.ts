import { UnsupportedError } from '@crikit/core';
import { compareApiVersions, type DaemonObjection, type DaemonVersion } from '@crikit/dockerode-api';

/** The oldest API that this package knows: Docker 20.10. */
export const OLDEST_API_VERSION = '1.41';
/** The newest API that it was tried with: Docker 26.1. Newer daemons go on serving it. */
export const NEWEST_API_VERSION = '1.45';

/** Undefined when this package can work with the daemon. */
export function objectToDocker(daemon: DaemonVersion): DaemonObjection | undefined {
  const itself = `version ${daemon.version}, API ${daemon.apiVersion}`;
  if (/podman/i.test(daemon.program ?? '')) {
    return {
      code: 'NOT_DOCKER',
      message: `it is ${daemon.program} (${itself})`,
      remedy: 'Podman imitates Docker’s API; use an engine package for Podman.',
    };
  }
  if (!daemon.hasApiVersionHeader && daemon.program === undefined) {
    return {
      code: 'NOT_DOCKER',
      message: `it has no Api-Version header (${itself}), as Pouch`,
      remedy: 'For Pouch use @crikit/engine-pouch.',
    };
  }
  if (compareApiVersions(daemon.apiVersion, OLDEST_API_VERSION) < 0) {
    return {
      code: 'TOO_OLD',
      message: `it is too old (${itself}); API ${OLDEST_API_VERSION} or newer is needed`,
      remedy: 'Update Docker to 20.10 or newer.',
    };
  }
  if (daemon.oldestApiVersion !== undefined && compareApiVersions(daemon.oldestApiVersion, NEWEST_API_VERSION) > 0) {
    return {
      code: 'TOO_NEW',
      message: `it serves API ${daemon.oldestApiVersion} and newer only; ${NEWEST_API_VERSION} is the newest known here`,
      remedy: 'Update @crikit/engine-docker.',
    };
  }
  return undefined;
}

/** The version to speak with the daemon; throws `UnsupportedError` when there is none. */
export function negotiateApiVersion(daemon: DaemonVersion, engine: string): string {
  const objection = objectToDocker(daemon);
  if (objection !== undefined) {
    throw new UnsupportedError(`Cannot work with this daemon: ${objection.message}.`, {
      engine,
      applied: 'no',
      remedy: objection.remedy,
    });
  }
  return compareApiVersions(daemon.apiVersion, NEWEST_API_VERSION) < 0 ? daemon.apiVersion : NEWEST_API_VERSION;
}
