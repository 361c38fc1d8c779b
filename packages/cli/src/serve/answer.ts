/** What a route gives to be sent. */
export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Codes of errors of the HTTP interface; contract, unlike the messages. */
export type FailureCode =
  | 'AMBIGUOUS'
  | 'BUSY'
  | 'HOST_REFUSED'
  | 'INTERNAL'
  | 'INVALID_ARGUMENT'
  | 'METHOD_NOT_ALLOWED'
  | 'NOT_FOUND'
  | 'UNAUTHORIZED';

const statusOf: Readonly<Record<FailureCode, number>> = {
  INVALID_ARGUMENT: 400,
  UNAUTHORIZED: 401,
  HOST_REFUSED: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  AMBIGUOUS: 409,
  INTERNAL: 500,
  BUSY: 503,
};

export function answerJson(value: unknown, status = 200): Answer {
  return { status, contentType: 'application/json; charset=utf-8', body: `${JSON.stringify(value)}\n` };
}

export interface FailureDetails {
  /** What the request may have meant. */
  readonly candidates?: readonly string[];
}

export function answerFailure(code: FailureCode, message: string, details: FailureDetails = {}): Answer {
  return answerJson({ error: { code, message, ...details } }, statusOf[code]);
}
