import type { Container, PodPhase } from '@crikit/core';

/**
 * The phase of a pod that no Kubernetes object tells about. While its sandbox runs, ended containers may be started
 * again, so the pod counts as running as soon as one was started; without a running sandbox the containers decide, the
 * newest of each name.
 */
export function phaseOfContainers(containers: readonly Container[], sandboxes: readonly Container[]): PodPhase {
  const apps = containers.filter((container) => !sandboxes.includes(container));
  if (
    apps.some(({ state }) => state.status === 'running' || state.status === 'paused' || state.status === 'restarting')
  ) {
    return 'Running';
  }
  const started = apps.filter(({ state }) => state.status !== 'created');
  if (sandboxes.some(({ state }) => state.status === 'running')) return started.length > 0 ? 'Running' : 'Pending';
  // A sandbox that ended and has no container left is what remains of a pod that was deleted.
  const deciding = apps.length > 0 ? started : sandboxes.filter(({ state }) => state.status !== 'created');
  if (deciding.length === 0) return 'Pending';
  const newest = newestOfEachName(deciding);
  if (newest.some(({ state }) => state.status === 'unknown')) return 'Unknown';
  return newest.every(({ state }) => state.exitCode === 0) ? 'Succeeded' : 'Failed';
}

function newestOfEachName(containers: readonly Container[]): readonly Container[] {
  const newest = new Map<string, Container>();
  for (const container of containers) {
    const name = container.k8sName ?? container.name;
    const other = newest.get(name);
    if (other === undefined || (container.state.startedAt ?? '') > (other.state.startedAt ?? '')) {
      newest.set(name, container);
    }
  }
  return [...newest.values()];
}
