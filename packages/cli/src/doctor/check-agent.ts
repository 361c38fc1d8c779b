import type { Diagnosis } from '@crikit/metastore';
import type { CheckContext, CheckFinding, CheckResult } from './check-task.js';
import { type HttpAnswer, sendRequest, toldBy } from './http-request.js';

/** What a running `crikit serve` says of itself. */
export async function checkAgent({ settings, signal }: CheckContext): Promise<CheckResult> {
  const { url = '', token } = settings.agent ?? {};
  const about = { subject: url };
  let answer: HttpAnswer;
  try {
    answer = await sendRequest(`${url.replace(/\/$/, '')}/api/v1/diagnosis`, {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      signal,
    });
  } catch (error) {
    return tell({
      ...about,
      id: 'agent-unreachable',
      severity: 'failure',
      message: `The agent cannot be reached: ${(error as Error).message}.`,
      remedy:
        'Look whether `crikit serve` runs and at which port it listens; it listens on loopback only unless told otherwise.',
    });
  }
  if (answer.status === 401 || answer.status === 403) {
    return tell({
      ...about,
      id: 'agent-refused',
      severity: 'failure',
      message: `The agent answered ${answer.status}${toldBy(answer)}${token === undefined ? '; no token was given' : ''}.`,
      remedy: 'Give the token that `crikit serve` printed when it started, by --token.',
    });
  }
  if (answer.status !== 200 || !isDiagnosis(answer.body)) {
    return tell({
      ...about,
      id: 'agent-unreachable',
      severity: 'failure',
      message: `What answers at ${url} is no agent that this version knows: status ${answer.status}${toldBy(answer)}.`,
      remedy: 'Give the address of a `crikit serve` of this version.',
    });
  }
  const { severity, verdict } = answer.body;
  const finding: CheckFinding =
    severity === 'ok'
      ? { ...about, id: 'agent-well', severity, message: `The agent says: ${verdict}.` }
      : {
          ...about,
          id: 'agent-troubled',
          severity,
          message: `The agent says: ${verdict}.`,
          remedy: 'See its own findings.',
        };
  return { findings: [finding], diagnosis: answer.body };
}

function tell(finding: CheckFinding): CheckResult {
  return { findings: [finding] };
}

function isDiagnosis(body: unknown): body is Diagnosis {
  const { schemaVersion, verdict, severity, findings } = (typeof body === 'object' && body !== null ? body : {}) as {
    readonly [member: string]: unknown;
  };
  return (
    schemaVersion === 1 &&
    typeof verdict === 'string' &&
    (severity === 'ok' || severity === 'warning' || severity === 'failure') &&
    Array.isArray(findings)
  );
}
