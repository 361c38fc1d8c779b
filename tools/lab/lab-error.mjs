// @ts-check

/**
 * What the lab throws. `code` is the contract, the message is for people:
 * - `LAB_UNAVAILABLE`: this machine cannot run real engines (not Linux, not root, not Debian or Ubuntu, packages cannot
 *   be had); tests that need one may be skipped with the message as the reason.
 * - `LAB_START_FAILED`: a daemon was started and did not become ready; the message ends with the last lines of its log.
 * - `LAB_STOP_FAILED`: something that the lab started could not be removed.
 * - `LAB_REQUEST_FAILED`: an engine refused a request; `statusCode` holds its answer.
 * - `LAB_TIMEOUT`: something that was waited for did not happen.
 * @typedef {'LAB_UNAVAILABLE' | 'LAB_START_FAILED' | 'LAB_STOP_FAILED' | 'LAB_REQUEST_FAILED' | 'LAB_TIMEOUT'} LabErrorCode
 */

export class LabError extends Error {
  /**
   * @param {LabErrorCode} code
   * @param {string} message
   * @param {{ cause?: unknown, statusCode?: number }} [details]
   */
  constructor(code, message, details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'LabError';
    this.code = code;
    /** The HTTP status of a refused request; undefined for every other code. */
    this.statusCode = details.statusCode;
  }
}

/**
 * @param {unknown} error
 * @returns {error is LabError}
 */
export function isLabUnavailable(error) {
  return error instanceof Error && 'code' in error && error.code === 'LAB_UNAVAILABLE';
}
