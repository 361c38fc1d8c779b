import { join } from 'node:path';
import { type EngineContext, hostPath, InvalidArgumentError, type ProbeAttempt } from '@crikit/core';
import type { DaemonEndpoint } from '@crikit/dockerode-api';
import type { DockerOptions } from './docker-options.js';

const wellKnownSockets = ['/var/run/docker.sock', '/run/docker.sock'];

/**
 * The endpoints to try, in order. What the caller or the environment names is used alone: a daemon that was asked for
 * and is away must not be replaced by another in silence.
 */
export function findDockerEndpoints(
  options: DockerOptions,
  context: Pick<EngineContext, 'hostRoot' | 'environment'>,
): DaemonEndpoint[] {
  if (options.socketPath !== undefined) return [parseDockerEndpoint(options.socketPath, 'option', false)];
  if (options.host !== undefined) return [parseDockerEndpoint(options.host, 'option', false)];

  const { environment } = context;
  const wantsTls = (environment.DOCKER_TLS_VERIFY ?? '') !== '';
  const named = [environment.DOCKER_HOST, environment.DOCKER_SOCK].flatMap(splitList);
  if (named.length > 0) return unique(named.map((text) => parseDockerEndpoint(text, 'environment', wantsTls)));

  const runtimeDirectory = environment.XDG_RUNTIME_DIR;
  const paths = [
    ...wellKnownSockets,
    ...(runtimeDirectory?.startsWith('/') === true ? [join(runtimeDirectory, 'docker.sock')] : []),
  ];
  return paths.map((path) => unixEndpoint(hostPath(context.hostRoot, path), 'well-known'));
}

/** Throws `InvalidArgumentError` for an option that is no endpoint; elsewhere such a text becomes a failed attempt. */
export function parseDockerEndpoint(text: string, origin: ProbeAttempt['origin'], wantsTls: boolean): DaemonEndpoint {
  if (text.startsWith('/')) return unixEndpoint(text, origin);
  if (text.startsWith('unix://')) return unixEndpoint(text.slice('unix://'.length), origin);
  if (text.startsWith('tcp://') && URL.canParse(text)) {
    const url = new URL(text);
    const port = url.port === '' ? 2375 : Number(url.port);
    if (wantsTls || port === 2376) return unsupported(text, origin, 'is reached by TLS, which is not supported');
    if (url.hostname !== '' && (url.pathname === '' || url.pathname === '/')) {
      const host = url.hostname.replace(/^\[|\]$/g, '');
      return { kind: 'tcp', host, port, name: `tcp://${url.hostname}:${port}`, origin };
    }
  }
  if (/^(https?|ssh|npipe|fd):\/\//.test(text)) return unsupported(text, origin, 'is not supported');
  if (origin === 'option') {
    throw new InvalidArgumentError(
      `'${text}' is no endpoint of a Docker daemon: give an absolute path, unix:///path or tcp://host:port.`,
    );
  }
  return unsupported(text, origin, 'is no endpoint of a Docker daemon');
}

function unixEndpoint(path: string, origin: ProbeAttempt['origin']): DaemonEndpoint {
  return { kind: 'unix', path, name: path, origin };
}

function unsupported(name: string, origin: ProbeAttempt['origin'], why: string): DaemonEndpoint {
  return {
    kind: 'unsupported',
    name,
    origin,
    reason: `${name} ${why}.`,
    remedy: 'Give a unix socket, or tcp:// without TLS on a trusted network.',
  };
}

function splitList(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function unique(endpoints: readonly DaemonEndpoint[]): DaemonEndpoint[] {
  return [...new Map(endpoints.map((endpoint) => [endpoint.name, endpoint])).values()];
}
