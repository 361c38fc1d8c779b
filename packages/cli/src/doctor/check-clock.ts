import type { CheckContext, CheckFinding, CheckResult } from './check-task.js';
import { sendRequest } from './http-request.js';
import { findApiServer, findKubelet, type KubernetesAccess } from './kubernetes-access.js';

/** Clocks that are kept differ by less; what is measured is known to about a second. */
const tolerableMs = 2_000;
/** The leeway that servers give to the times in tokens. */
const leewayOfTokensMs = 60_000;

interface Server {
  readonly name: string;
  readonly url: string;
  readonly access?: KubernetesAccess;
}

/**
 * This machine's clock against those of servers on others: the API server, a kubelet, daemons that are reached over TCP
 * (`endpoints`). A daemon behind a unix socket has this machine's clock.
 */
export async function checkClock(endpoints: readonly string[], context: CheckContext): Promise<CheckResult> {
  const servers = [...findServers(context), ...endpoints.map(describeDaemon)];
  const findings = await Promise.all(servers.map((server) => compare(server, context.signal)));
  const told = findings.filter((finding) => finding !== undefined);
  if (told.length > 0) return { findings: told };
  const message =
    servers.length === 0
      ? 'There is no server on another machine whose clock could be compared with this one.'
      : 'No server tells its time.';
  return { findings: [{ id: 'clock-unknown', severity: 'ok', message }] };
}

function findServers(context: CheckContext): readonly Server[] {
  const { pods, kubelet } = context.settings;
  const found: Server[] = [];
  const isInCluster = Boolean(context.environment.KUBERNETES_SERVICE_HOST);
  const add = (name: string, path: string, find: (context: CheckContext) => KubernetesAccess | undefined): void => {
    try {
      const access = find(context);
      if (access !== undefined) found.push({ name, url: `${access.server}${path}`, access });
    } catch {
      // The check of that server says why it cannot be asked.
    }
  };
  if (pods === 'api-server' || (pods === 'auto' && isInCluster)) add('the API server', '/version', findApiServer);
  if (pods === 'kubelet' || (pods === 'auto' && (isInCluster || kubelet !== undefined))) {
    add('the kubelet', '/healthz', findKubelet);
  }
  return found;
}

function describeDaemon(endpoint: string): Server {
  return { name: endpoint, url: `${endpoint.replace(/^tcp:/, 'http:')}/_ping` };
}

/** Undefined when the server does not answer or does not tell. */
async function compare({ name, url, access }: Server, signal: AbortSignal): Promise<CheckFinding | undefined> {
  const startMs = Date.now();
  const answer = await sendRequest(url, {
    headers: access?.headers ?? {},
    tls: access?.tls ?? {},
    headOnly: true,
    signal,
  }).catch(() => undefined);
  const endMs = Date.now();
  if (answer?.dateMs === undefined) return undefined;
  // The header has whole seconds, cut off, and was written somewhen between question and answer.
  const aheadMs = (startMs + endMs) / 2 - (answer.dateMs + 500);
  const uncertainMs = 500 + (endMs - startMs) / 2;
  const surelyMs = Math.abs(aheadMs) - uncertainMs;
  const about = { subject: url };
  if (surelyMs <= tolerableMs) {
    return {
      ...about,
      id: 'clock-right',
      severity: 'ok',
      message: `This machine’s clock agrees with that of ${name}.`,
    };
  }
  const seconds = Math.round(Math.abs(aheadMs) / 1_000);
  return {
    ...about,
    id: 'clock-skewed',
    severity: surelyMs > leewayOfTokensMs ? 'failure' : 'warning',
    message: `This machine’s clock is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} that of ${name}: ages and lags are wrong by that${
      surelyMs > leewayOfTokensMs ? ', and tokens and certificates may be refused' : ''
    }.`,
    remedy: 'Set the clocks by NTP (chrony, systemd-timesyncd) on both machines.',
  };
}
