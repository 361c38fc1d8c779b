/**
 * What every crikit error carries. Recognise errors by `code` or by the guard of their kind, never by `instanceof`:
 * a process may hold two copies of a package, and each copy has its own classes.
 */
export type ErrorCode =
  | 'ABORTED'
  | 'ALREADY_EXISTS'
  | 'AMBIGUOUS'
  | 'CLOSED'
  | 'COMMAND_NOT_FOUND'
  | 'COPY_FAILED'
  | 'ENGINE_CLASH'
  | 'EXEC_FAILED'
  | 'INVALID_ARGUMENT'
  | 'MULTI_BIZ'
  | 'NO_BIZ'
  | 'NO_ENGINE'
  | 'NO_POD'
  | 'NOT_FOUND'
  | 'NOT_RUNNING'
  | 'PATH_NOT_FOUND'
  | 'PAUSED'
  | 'PERMISSION'
  | 'PROTOCOL'
  | 'TIMEOUT'
  | 'TOO_LARGE'
  | 'UNAVAILABLE'
  | 'UNSUPPORTED'
  | 'USER_NOT_FOUND'
  | 'WORKDIR_NOT_FOUND';

/** Whether the request took effect before it failed. Only `no` may be retried without asking anybody. */
export type Applied = 'no' | 'yes' | 'unknown';

export interface CrikitErrorOptions {
  /** Id of the engine (type and endpoint) that the call went to. */
  engine?: string;
  /** Default: `unknown`. */
  applied?: Applied;
  /** Whether the same call may work later without a change on the caller's side. Default: false. */
  retryable?: boolean;
  /** One sentence that says what to do next; appended to the message. */
  remedy?: string;
  cause?: unknown;
}

const crikitErrorBrand = Symbol.for('crikit.error');

export class CrikitError extends Error {
  readonly code: ErrorCode;
  readonly engine: string | undefined;
  readonly applied: Applied;
  readonly retryable: boolean;
  readonly remedy: string | undefined;

  constructor(name: string, code: ErrorCode, message: string, options: CrikitErrorOptions = {}) {
    const where = options.engine === undefined ? '' : ` [${options.engine}]`;
    const next = options.remedy === undefined ? '' : ` ${options.remedy}`;
    super(`${message}${where}${next}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = name;
    this.code = code;
    this.engine = options.engine;
    this.applied = options.applied ?? 'unknown';
    this.retryable = options.retryable ?? false;
    this.remedy = options.remedy;
    brand(this, crikitErrorBrand);
    brand(this, Symbol.for(`crikit.error.${name}`));
  }
}

/** Any error of crikit, whichever copy of whichever package made it. */
export function isCrikitError(error: unknown): error is CrikitError {
  return hasBrand(error, crikitErrorBrand);
}

/** Used by the guard of each kind of error. */
export function isErrorNamed(error: unknown, name: string): boolean {
  return hasBrand(error, Symbol.for(`crikit.error.${name}`));
}

export function brand(error: object, symbol: symbol): void {
  Object.defineProperty(error, symbol, { value: true });
}

function hasBrand(error: unknown, symbol: symbol): boolean {
  return typeof error === 'object' && error !== null && symbol in error;
}
