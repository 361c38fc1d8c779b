import { type EngineContext, hostPath, type ProbeAttempt } from '@crikit/core';
import type { ContainerdOptions } from './containerd-options.js';

/** Where a containerd may listen: a unix socket. */
export interface ContainerdEndpoint {
  /** As this process sees it. */
  readonly path: string;
  readonly origin: ProbeAttempt['origin'];
}

const wellKnownSockets = [
  '/run/containerd/containerd.sock',
  '/run/k3s/containerd/containerd.sock',
  '/run/k0s/containerd.sock',
  '/var/snap/microk8s/common/run/containerd.sock',
];

/**
 * The endpoints to try, in order. What the caller or the environment names is used alone: a daemon that was asked for
 * and is away must not be replaced by another in silence.
 */
export function findContainerdEndpoints(
  options: Pick<ContainerdOptions, 'address'>,
  context: Pick<EngineContext, 'hostRoot' | 'environment'>,
): ContainerdEndpoint[] {
  const { address } = options;
  if (address !== undefined) return named(typeof address === 'string' ? [address] : address, 'option');
  const { CONTAINERD_SOCK: sock, CONTAINERD_ADDRESS: fromEnvironment } = context.environment;
  const listed = [sock, fromEnvironment].flatMap(splitList);
  if (listed.length > 0) return named(listed, 'environment');
  return wellKnownSockets.map((path) => ({ path: hostPath(context.hostRoot, path), origin: 'well-known' }));
}

function named(addresses: readonly string[], origin: ProbeAttempt['origin']): ContainerdEndpoint[] {
  const paths = addresses.map((address) => address.replace(/^unix:\/\//, ''));
  return [...new Set(paths)].map((path) => ({ path, origin }));
}

function splitList(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
