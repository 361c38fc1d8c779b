import { readFile } from 'node:fs/promises';
import { ClosedError, type KubernetesPod, linkSignals } from '@crikit/core';
import { createReadiness, type KubernetesPodsOptions } from './api-server-pods.js';
import { claimOfMarks } from './claim-of-marks.js';
import { isPodSourceError, PodSourceError } from './errors/pod-source-error.js';
import { readServiceAccountFile, serviceAccountDirectory } from './in-cluster-pods.js';
import {
  createKubernetesClient,
  type KubernetesCredentials,
  type KubernetesTls,
  readBody,
} from './kubernetes-request.js';
import { createPodInventory, type PodInventory } from './pod-inventory.js';
import type { PodSource, PodSourceContext, PodSourceSession } from './pod-source.js';
import { defaultPodSourceTimings } from './pod-source-timings.js';
import { createRequestPace } from './request-pace.js';
import { createStateReporter } from './state-reporter.js';
import { wait } from './wait.js';

/** Some hundred pods at the very most; their whole objects are some 10 KB each. */
const maximumBodyBytes = 64 * 1024 * 1024;
const podsPath = '/pods';

export interface KubeletPodsOptions extends KubernetesPodsOptions {
  /**
   * The kubelet's address, such as `https://10.0.0.5:10250`, or `http://127.0.0.1:10255` for its read-only port, to
   * which no token is sent. Default: https, port 10250 and the host `NODE_IP` or `HOST_IP` of the environment, else
   * 127.0.0.1.
   */
  readonly url?: string;
  /** A file with the token to show, read anew for each request. Default: the pod's service account's, where there is one. */
  readonly tokenFile?: string;
  /** A client certificate instead of a token: files in PEM, read anew for each request. */
  readonly certificateFile?: string;
  readonly keyFile?: string;
  /**
   * A file with the CA that signed the kubelet's certificate, in PEM. A kubelet that signed its own has both in
   * `/var/lib/kubelet/pki/kubelet.crt` of the node. Default: the service account's CA, where there is one, else those
   * that Node trusts.
   */
  readonly caFile?: string;
  /** The name that the kubelet's certificate must have, often the node's name. Default: the host of the URL. */
  readonly serverName?: string;
  /**
   * Takes any certificate: whoever can answer at that address is shown the token and believed. Default: false.
   */
  readonly insecure?: boolean;
  /** Between two looks. Default: 10 s. */
  readonly intervalMs?: number;
  /** Between two looks after an engine saw something happen. Default: 1 s. */
  readonly hintedIntervalMs?: number;
  /** How long looks are so frequent after that. Default: 10 s. */
  readonly hintedForMs?: number;
}

/**
 * The pods of this node as its kubelet tells, by looking again and again, so that it works without the API server. The
 * kubelet wants `get` on `nodes/pods` (on `nodes/proxy` before Kubernetes 1.33, which allows exec as well: better avoid
 * it). An address that cannot be one makes `ready` reject with a `PodSourceError` of code `UNSUPPORTED`.
 */
export function kubeletPods(options: KubeletPodsOptions = {}): PodSource {
  return {
    name: 'kubelet',
    podOfContainer: claimOfMarks,
    open: (context) => openKubeletPods(options, context),
  };
}

function openKubeletPods(options: KubeletPodsOptions, context: PodSourceContext): PodSourceSession {
  const gate = createReadiness();
  const { report } = createStateReporter(context);
  const inventory = createPodInventory({
    keepWholeObjects: options.keepWholeObjects ?? false,
    onUpdate: (update) => {
      context.onUpdate(update);
      gate.resolve();
    },
  });
  const poll = pollKubelet(options, context, {
    startListing: () => inventory.startListing(),
    onLive: () => report('live', 'kubelet'),
    onFailure: (error) => {
      report('stale', 'kubelet', error);
      if (!error.retryable) gate.reject(error);
    },
  });
  return {
    ready: gate.ready,
    hint: poll.hint,
    [Symbol.asyncDispose]: async () => {
      gate.reject(new ClosedError('The pod source was closed before it had read the pods.', { applied: 'no' }));
      await poll.close();
    },
  };
}

export interface KubeletSink extends Pick<PodInventory, 'startListing'> {
  /** After each look that succeeded. */
  readonly onLive: () => void;
  /** After each that did not; one whose `retryable` is false is the last. */
  readonly onFailure: (error: PodSourceError) => void;
}

export interface KubeletPoll {
  hint(): void;
  close(): Promise<void>;
}

/** Looks at once, then again and again until it is closed. */
export function pollKubelet(
  options: KubeletPodsOptions,
  { clock, environment, logger }: PodSourceContext,
  sink: KubeletSink,
): KubeletPoll {
  const timings = { ...defaultPodSourceTimings, ...options.timings };
  const { intervalMs = 10_000, hintedIntervalMs = 1_000, hintedForMs = 10_000 } = options;
  const closing = new AbortController();
  const { signal } = closing;
  const pace = createRequestPace({ clock, ...timings });
  let hintedUntilMs = Number.NEGATIVE_INFINITY;
  /** Set while the next look is far away although a hint may call for it. */
  let lookSooner: (() => void) | undefined;

  const look = async (client: ReturnType<typeof createKubernetesClient>, url: string): Promise<void> => {
    const response = await client.get(podsPath, {
      credentials: () => readCredentials(options, url),
      signal,
      answerTimeoutMs: timings.answerTimeoutMs,
      onRequest: pace.noteRequest,
    });
    const place = `${url}${podsPath}`;
    const body = await readBody(response, {
      maximumBytes: maximumBodyBytes,
      timeoutMs: timings.bodyTimeoutMs,
      clock,
      place,
    });
    const pods = parsePods(body, place);
    if (signal.aborted) return;
    const listing = sink.startListing();
    listing.add(pods);
    listing.commit();
  };

  /** Waits for the next look; a hint ends it early, though never sooner than `hintedIntervalMs` after the last look. */
  const rest = async (lookedMs: number): Promise<void> => {
    const dueMs = (): number => lookedMs + (clock.now() < hintedUntilMs ? hintedIntervalMs : intervalMs);
    while (!signal.aborted && clock.now() < dueMs()) {
      const linked = linkSignals([signal]);
      lookSooner = () => linked.abort();
      await wait(dueMs() - clock.now(), { clock, signal: linked.signal });
      linked.unlink();
      lookSooner = undefined;
    }
  };

  const run = async (): Promise<void> => {
    // Callbacks come after `open` has returned.
    await Promise.resolve();
    const url = options.url ?? defaultUrl(environment);
    if (!/^https?:$/.test(URL.canParse(url) ? new URL(url).protocol : '')) {
      sink.onFailure(new PodSourceError('UNSUPPORTED', `'${url}' is not the address of a kubelet.`));
      return;
    }
    const client = createKubernetesClient(url, clock);
    while (!signal.aborted) {
      const startMs = clock.now();
      try {
        await look(client, url.replace(/\/$/, ''));
        if (signal.aborted) break;
        pace.noteHealth();
        pace.pauseMs({ failed: false });
        sink.onLive();
        await rest(startMs);
      } catch (cause) {
        if (signal.aborted) break;
        const error = isPodSourceError(cause)
          ? cause
          : new PodSourceError('PROTOCOL', `The pods of ${url} could not be read: ${String(cause)}.`, { cause });
        logger.warn({ err: error }, 'the kubelet does not tell of pods');
        client.dropConnections();
        sink.onFailure(error);
        await wait(pace.pauseMs({ failed: true, retryAfterMs: error.retryAfterMs }), { clock, signal });
      }
    }
    client.dropConnections();
  };
  const ended = run().catch((error: unknown) => logger.error({ err: error }, 'the pod source kubelet failed'));

  return {
    hint: () => {
      hintedUntilMs = clock.now() + hintedForMs;
      lookSooner?.();
    },
    close: async () => {
      closing.abort();
      await ended;
    },
  };
}

function defaultUrl({ NODE_IP, HOST_IP }: PodSourceContext['environment']): string {
  const host = NODE_IP || HOST_IP || '127.0.0.1';
  return `https://${host.includes(':') ? `[${host}]` : host}:10250`;
}

async function readCredentials(options: KubeletPodsOptions, url: string): Promise<KubernetesCredentials> {
  // In plain text anyone may listen, and the read-only port asks for nothing.
  if (url.startsWith('http:')) return {};
  const { certificateFile, keyFile, serverName, insecure } = options;
  const [token, ca, cert, key] = await Promise.all([
    options.tokenFile === undefined ? readServiceAccount('token') : readCredential(options.tokenFile),
    options.caFile === undefined ? readServiceAccount('ca.crt') : readCredential(options.caFile),
    certificateFile === undefined ? undefined : readCredential(certificateFile),
    keyFile === undefined ? undefined : readCredential(keyFile),
  ]);
  const tls: KubernetesTls = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...(insecure === true ? { rejectUnauthorized: false } : {}),
  };
  return { tls, headers: token === undefined ? {} : { authorization: `Bearer ${token}` } };
}

async function readServiceAccount(name: string): Promise<string | undefined> {
  try {
    return await readServiceAccountFile(serviceAccountDirectory, name);
  } catch {
    // A process of the node itself has none.
    return undefined;
  }
}

async function readCredential(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (cause) {
    throw new PodSourceError('PERMISSION', `The file ${path} cannot be read.`, { cause });
  }
}

function parsePods(body: string, place: string): readonly KubernetesPod[] {
  let parsed: { kind?: unknown; items?: unknown } | undefined;
  try {
    parsed = JSON.parse(body) as { kind?: unknown; items?: unknown };
  } catch {
    // Told below.
  }
  if (parsed?.kind !== 'PodList' || !(Array.isArray(parsed.items) || parsed.items === null)) {
    throw new PodSourceError('PROTOCOL', `${place} did not answer with a list of pods.`);
  }
  return (parsed.items ?? []) as readonly KubernetesPod[];
}
