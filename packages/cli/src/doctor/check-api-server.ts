import type { CheckContext, CheckFinding, CheckResult } from './check-task.js';
import { failureOf, type HttpAnswer, sendRequest, toldBy } from './http-request.js';
import { findApiServer, findNodeName, type KubernetesAccess, mayI, type ResourceRight } from './kubernetes-access.js';

const verbs = ['get', 'list', 'watch'] as const;

/** Whether the API server is reached, trusts this process, and lets it read the pods of its node. */
export async function checkApiServer(context: CheckContext): Promise<CheckResult> {
  let access: KubernetesAccess | undefined;
  try {
    access = findApiServer(context);
  } catch (error) {
    return {
      findings: [
        {
          id: 'api-server-no-credentials',
          severity: 'failure',
          message: `The token or the CA of the service account cannot be read: ${(error as Error).message}.`,
          remedy: 'Set automountServiceAccountToken: true for the pod, or mount a token there.',
        },
      ],
    };
  }
  if (access === undefined) {
    return {
      findings: [
        {
          id: 'api-server-not-here',
          severity: 'failure',
          message: 'This process does not run in a Kubernetes pod: KUBERNETES_SERVICE_HOST is not set.',
          remedy: 'Use --pods kubeconfig, --pods kubelet or --pods labels here.',
        },
      ],
    };
  }
  const nodeName = findNodeName(context);
  const rights = [
    ...verbs.map((verb): ResourceRight => ({ verb, resource: 'pods' })),
    ...verbs.map((verb): ResourceRight => ({ verb, resource: 'nodes' })),
  ];
  const selector = nodeName === undefined ? '' : `&fieldSelector=${encodeURIComponent(`spec.nodeName=${nodeName}`)}`;
  const { headers, tls, server } = access;
  let answer: HttpAnswer;
  let allowed: readonly (boolean | undefined)[];
  try {
    [answer, ...allowed] = await Promise.all([
      sendRequest(`${server}/api/v1/pods?limit=1${selector}`, { headers, tls, signal: context.signal }),
      ...rights.map((right) => mayI(access, right, context.signal)),
    ]);
  } catch (error) {
    return { findings: [describeFailure(server, error)] };
  }
  const refusal = describeRefusal(server, answer);
  if (refusal !== undefined) return { findings: [refusal] };
  const denied = (resource: string): string =>
    rights
      .filter((right, index) => right.resource === resource && allowed[index] === false)
      .map(({ verb }) => verb)
      .join(', ');
  const findings: CheckFinding[] = [];
  if (denied('pods') !== '') {
    findings.push({
      id: 'api-server-forbidden',
      severity: 'failure',
      subject: server,
      message: `The service account may not ${denied('pods')} pods.`,
      remedy: podsRemedy,
    });
  }
  if (denied('nodes') !== '') {
    findings.push({
      id: 'node-right-missing',
      severity: 'warning',
      subject: server,
      message: `The service account may not ${denied('nodes')} nodes: localAgentMeta().node stays undefined, all else works.`,
      remedy: 'Allow get, list and watch on nodes, or set watchNode: false.',
    });
  }
  if (nodeName === undefined) {
    findings.push({
      id: 'node-name-unknown',
      severity: 'failure',
      subject: server,
      message: 'The name of this node is not known: which pods are its own cannot be asked.',
      remedy: 'Set NODE_NAME by the downward API (fieldPath: spec.nodeName), or give --node-name.',
    });
  } else if (isEmpty(answer) && (await isUnknownNode(access, nodeName, context.signal))) {
    findings.push({
      id: 'node-name-wrong',
      severity: 'failure',
      subject: nodeName,
      message: `There is no node '${nodeName}' in the cluster, and no pod on it.`,
      remedy:
        'Set NODE_NAME by the downward API (fieldPath: spec.nodeName), or give --node-name as `kubectl get nodes` has it.',
    });
  }
  if (findings.every(({ severity }) => severity !== 'failure')) {
    findings.unshift({
      id: 'api-server-serves',
      severity: 'ok',
      subject: server,
      message: `The API server lets pods of ${nodeName ?? 'this node'} be read.`,
    });
  }
  return { findings };
}

const podsRemedy =
  'Allow get, list and watch on pods to the agent’s service account, by a ClusterRole and a ClusterRoleBinding.';

function describeFailure(server: string, error: unknown): CheckFinding {
  const about = { severity: 'failure', subject: server } as const;
  if (failureOf(error) === 'untrusted') {
    return {
      ...about,
      id: 'api-server-untrusted',
      message: `The certificate of the API server is not trusted: ${(error as Error).message}.`,
      remedy:
        'Look at ca.crt of the service account: it must have signed the certificate, and the certificate must be for this address.',
    };
  }
  return {
    ...about,
    id: 'api-server-unreachable',
    message: `The API server cannot be reached: ${(error as Error).message}.`,
    remedy:
      'Look at the network of this pod, at network policies and proxies; where the API server is away, the kubelet serves (--pods kubelet).',
  };
}

function describeRefusal(server: string, answer: HttpAnswer): CheckFinding | undefined {
  const { status } = answer;
  const about = { severity: 'failure', subject: server } as const;
  if (status === 200) return undefined;
  if (status === 401) {
    return {
      ...about,
      id: 'api-server-unauthorized',
      message: `The API server does not accept the token: it answered 401${toldBy(answer)}.`,
      remedy: 'Look at the token: it may have expired, belong to another cluster, or the clocks differ.',
    };
  }
  if (status === 403) {
    return {
      ...about,
      id: 'api-server-forbidden',
      message: `The service account may not list pods: the API server answered 403${toldBy(answer)}.`,
      remedy: podsRemedy,
    };
  }
  return {
    ...about,
    id: 'api-server-failing',
    message: `The API server answered ${status}${toldBy(answer)}.`,
    remedy: 'Look whether that is the API server, and into its log.',
  };
}

function isEmpty({ body }: HttpAnswer): boolean {
  const { items } = (typeof body === 'object' && body !== null ? body : {}) as { items?: unknown };
  return !Array.isArray(items) || items.length === 0;
}

async function isUnknownNode(
  { server, headers, tls }: KubernetesAccess,
  name: string,
  signal: AbortSignal,
): Promise<boolean> {
  const url = `${server}/api/v1/nodes/${encodeURIComponent(name)}`;
  const status = await sendRequest(url, { headers, tls, signal }).then(
    (answer) => answer.status,
    () => undefined,
  );
  return status === 404;
}
