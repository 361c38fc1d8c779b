import { type EngineContext, hostPath, type ProbeAttempt } from '@crikit/core';
import type { DaemonEndpoint } from '@crikit/dockerode-api';
import type { PouchOptions } from './pouch-options.js';

const wellKnownSocket = '/var/run/pouchd.sock';

/**
 * The endpoints to try, in order. What the caller or the environment names is used alone: a daemon that was asked for
 * and is away must not be replaced by another in silence.
 */
export function findPouchEndpoints(
  { socketPath }: PouchOptions,
  { hostRoot, environment }: Pick<EngineContext, 'hostRoot' | 'environment'>,
): DaemonEndpoint[] {
  if (socketPath !== undefined) return [unixEndpoint(socketPath, 'option')];
  const named = (environment.POUCH_SOCK ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  if (named.length > 0) return [...new Set(named)].map(parsePouchSocket);
  return [unixEndpoint(hostPath(hostRoot, wellKnownSocket), 'well-known')];
}

function parsePouchSocket(text: string): DaemonEndpoint {
  const path = text.startsWith('unix://') ? text.slice('unix://'.length) : text;
  if (path.startsWith('/')) return unixEndpoint(path, 'environment');
  return {
    kind: 'unsupported',
    name: text,
    origin: 'environment',
    reason: `${text} is no path of a socket.`,
    remedy: 'Give POUCH_SOCK absolute paths, separated by commas.',
  };
}

function unixEndpoint(path: string, origin: ProbeAttempt['origin']): DaemonEndpoint {
  return { kind: 'unix', path, name: path, origin };
}
