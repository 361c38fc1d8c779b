import type { ApiServerConnection, ApiServerPodsOptions, ApiServerSink } from './api-server-pods.js';
import { isPodSourceError, PodSourceError } from './errors/pod-source-error.js';
import type { PodSourceContext } from './pod-source.js';
import { defaultPodSourceTimings } from './pod-source-timings.js';
import { createRequestPace } from './request-pace.js';
import { requireNodeName } from './require-node-name.js';
import { wait } from './wait.js';

/** Tries to connect until it succeeds; undefined when that can never be, or the signal has aborted. */
export async function connectApiServer(
  options: ApiServerPodsOptions,
  context: Pick<PodSourceContext, 'environment' | 'hostRoot' | 'logger' | 'clock'>,
  { signal, onFailure, onFinal }: Pick<ApiServerSink, 'onFailure' | 'onFinal'> & { readonly signal: AbortSignal },
): Promise<ApiServerConnection | undefined> {
  const { clock, logger } = context;
  const pace = createRequestPace({ clock, ...defaultPodSourceTimings, ...options.timings });
  while (!signal.aborted) {
    pace.noteRequest();
    try {
      const connection = await options.connect(context);
      requireNodeName(connection.nodeName);
      return connection;
    } catch (cause) {
      if (signal.aborted) break;
      const error = convertConnectError(cause, options.name);
      if (!error.retryable) {
        onFinal(error);
        return undefined;
      }
      onFailure(error);
      logger.warn({ err: error, podSource: options.name }, 'the API server cannot be found');
    }
    await wait(pace.pauseMs({ failed: true }), { clock, signal });
  }
  return undefined;
}

/** What `connect` of a source rejected with, as an error of this package. */
export function convertConnectError(cause: unknown, name: string): PodSourceError {
  if (isPodSourceError(cause)) return cause;
  const { message, retryable } = cause as { message?: unknown; retryable?: unknown };
  return new PodSourceError(
    retryable === false ? 'UNSUPPORTED' : 'UNAVAILABLE',
    `The pod source ${name} cannot connect: ${String(message ?? cause)}`,
    { cause },
  );
}
