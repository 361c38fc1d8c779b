import { type CrikitError, isCrikitError, silentLogger } from '@crikit/core';
import { isPodSourceError, type PodSourceSession, type PodSourceState } from '@crikit/metastore';
import type { CheckContext, CheckResult } from './check-task.js';

/** Follows the pods by the kubeconfig, as the meta store would, until they come or it is known why not. */
export async function checkKubeconfig({ settings, environment, signal }: CheckContext): Promise<CheckResult> {
  const { nodeName, kubeconfig, hostRoot } = settings;
  if (!nodeName) {
    return failing('The name of this node in Kubernetes is not known.', 'Give --node-name, or set NODE_NAME.');
  }
  const { kubeconfigPods } = await import('@crikit/pods-kubeconfig');
  const source = kubeconfigPods({ nodeName, ...(kubeconfig === undefined ? {} : { kubeconfig }) });
  let session: PodSourceSession | undefined;
  let giveUp = (): void => {};
  try {
    const state = await new Promise<PodSourceState | 'late'>((resolve, reject) => {
      giveUp = () => resolve('late');
      signal.addEventListener('abort', giveUp, { once: true });
      session = source.open?.({
        ...{ environment, hostRoot, logger: silentLogger },
        clock: {
          now: () => Date.now(),
          setTimer: (run, delayMs) => {
            const timer = setTimeout(run, delayMs);
            return () => clearTimeout(timer);
          },
        },
        onUpdate: () => {},
        onState: resolve,
      });
      session?.ready.catch(reject);
    });
    if (state === 'late') {
      return failing(
        'The API server that the kubeconfig names did not answer in time.',
        'Look whether it can be reached from here.',
      );
    }
    if (state.state === 'stale') return describeError(state.error);
    const message = `The API server that the kubeconfig names lets pods of ${nodeName} be followed.`;
    return { findings: [{ id: 'kubeconfig-serves', severity: 'ok', message }] };
  } catch (error) {
    return describeError(isCrikitError(error) ? error : undefined, error);
  } finally {
    signal.removeEventListener('abort', giveUp);
    // Not waited for: the process has other checks to run, and is ended afterwards.
    void session?.[Symbol.asyncDispose]();
  }
}

function describeError(error: CrikitError | undefined, thrown?: unknown): CheckResult {
  const status = isPodSourceError(error) ? error.status : undefined;
  const remedy =
    error?.remedy ??
    (status === 403
      ? 'Allow get, list and watch on pods to the user of the kubeconfig.'
      : 'Look at the kubeconfig, and whether its server can be reached from here.');
  return failing(error?.message ?? String(thrown ?? 'The API server is away.'), remedy);
}

function failing(message: string, remedy: string): CheckResult {
  return { findings: [{ id: 'kubeconfig-failing', severity: 'failure', message, remedy }] };
}
