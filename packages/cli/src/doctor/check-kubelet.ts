import type { CheckContext, CheckFinding, CheckResult } from './check-task.js';
import { failureOf, type HttpAnswer, sendRequest } from './http-request.js';
import { findApiServer, findKubelet, type KubernetesAccess, mayI } from './kubernetes-access.js';

/** Whether the kubelet lets this process read its pods; where it only stands in for the API server, no failure. */
export async function checkKubelet(context: CheckContext): Promise<CheckResult> {
  const severity = context.settings.pods === 'kubelet' ? 'failure' : 'warning';
  const consequence = severity === 'failure' ? '' : ' It would stand in when the API server is away.';
  const describe = (
    id: CheckFinding['id'],
    subject: string | undefined,
    message: string,
    remedy: string,
  ): CheckResult => ({
    findings: [
      { id, severity, message: `${message}${consequence}`, remedy, ...(subject === undefined ? {} : { subject }) },
    ],
  });
  let access: KubernetesAccess;
  try {
    access = findKubelet(context);
  } catch (error) {
    return describe(
      'kubelet-no-credentials',
      undefined,
      `What is to be shown to the kubelet cannot be read: ${(error as Error).message}.`,
      'Correct kubelet.tokenFile, caFile, certificateFile and keyFile in the configuration.',
    );
  }
  const { server, headers, tls } = access;
  const url = `${server}/pods`;
  let answer: HttpAnswer;
  try {
    // Its list can be long, and its head says what is to be known.
    answer = await sendRequest(url, { headers, tls, signal: context.signal, headOnly: true });
  } catch (error) {
    const { message } = error as Error;
    return failureOf(error) === 'untrusted'
      ? describe(
          'kubelet-untrusted',
          server,
          `The certificate of the kubelet is not trusted: ${message}.`,
          'Give kubelet.caFile in the configuration (a kubelet that signed its own: /var/lib/kubelet/pki/kubelet.crt of the node) and kubelet.serverName, the name that it is for.',
        )
      : describe(
          'kubelet-unreachable',
          server,
          `The kubelet cannot be reached: ${message}.`,
          'Set NODE_IP by the downward API (fieldPath: status.hostIP), or kubelet.url in the configuration.',
        );
  }
  if (answer.status === 200) {
    const message = `The kubelet lets its pods be read${server.startsWith('http:') ? ' by anybody: this is its read-only port' : ''}.`;
    return { findings: [{ id: 'kubelet-serves', severity: 'ok', subject: server, message }] };
  }
  if (answer.status === 401) {
    return describe(
      'kubelet-unauthorized',
      server,
      `The kubelet does not know who this is: it answered 401${headers.authorization === undefined ? ', for no token was shown' : ' to the token'}.`,
      headers.authorization === undefined
        ? 'Run in a pod with a service account, or give kubelet.tokenFile, or certificateFile and keyFile, in the configuration.'
        : 'Look whether the token has expired, and whether the kubelet asks the API server about tokens (authentication.webhook.enabled: true).',
    );
  }
  if (answer.status === 403) {
    return describe(
      'kubelet-forbidden',
      server,
      `The kubelet does not let its pods be read: it answered 403.${await describeRights(context)}`,
      'Allow get on nodes/pods to the agent’s service account (on nodes/proxy before Kubernetes 1.33, which allows exec as well: better do without the kubelet there).',
    );
  }
  return describe(
    'kubelet-failing',
    server,
    `The kubelet answered ${answer.status}.`,
    'Look whether that is the kubelet, and into its log.',
  );
}

/** What the API server says of the two rights that kubelets ask for. */
async function describeRights(context: CheckContext): Promise<string> {
  try {
    const apiServer = findApiServer(context);
    if (apiServer === undefined) return '';
    const [pods, proxy] = await Promise.all([
      mayI(apiServer, { verb: 'get', resource: 'nodes', subresource: 'pods' }, context.signal),
      mayI(apiServer, { verb: 'get', resource: 'nodes', subresource: 'proxy' }, context.signal),
    ]);
    if (pods === undefined || proxy === undefined) return '';
    const say = (allowed: boolean): string => (allowed ? 'allowed' : 'not allowed');
    return ` Get on nodes/pods is ${say(pods)}, on nodes/proxy ${say(proxy)}.`;
  } catch {
    return '';
  }
}
