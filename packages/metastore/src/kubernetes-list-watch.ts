/**
 * Follows one kind of objects of an API server: list in pages, then watch, for ever. Keeps nothing but the
 * resourceVersion, which is opaque; who is told keeps the objects.
 */
import type { IncomingMessage } from 'node:http';
import type { KubernetesPod } from '@crikit/core';
import type { Clock } from './clock.js';
import { isPodSourceError, PodSourceError } from './errors/pod-source-error.js';
import {
  createKubernetesClient,
  failedConnection,
  type KubernetesCredentials,
  readBody,
} from './kubernetes-request.js';
import type { PodSourceTimings } from './pod-source-timings.js';
import { createRequestPace } from './request-pace.js';
import { createLineSplitter } from './split-lines.js';
import { wait } from './wait.js';

const pageSize = 500;
/** Half of what V8 can hold in a string; a page of 500 common pods is some 4 MB. */
const maximumPageBytes = 256 * 1024 * 1024;
/** etcd takes no object above 1.5 MB, and requests of API servers end at 3 MB. */
const maximumEventBytes = 8 * 1024 * 1024;

/** Objects of any kind have this. */
export interface KubernetesObject {
  readonly metadata?: { readonly resourceVersion?: string };
}

export interface ListWatchOptions<Item extends KubernetesObject> {
  readonly server: string;
  /** Asked before each request. */
  readonly credentials: () => Promise<KubernetesCredentials>;
  /** Such as `/api/v1/pods`. */
  readonly path: string;
  readonly fieldSelector: string;
  readonly clock: Clock;
  readonly timings: PodSourceTimings;
  readonly signal: AbortSignal;
  /** A list begins; what it gives replaces all at `commit`. A listing that fails is dropped without a word. */
  readonly startListing: () => { add(items: readonly Item[]): void; commit(): void };
  /** In order. What arrived together comes together. */
  readonly onChanges: (changes: readonly ListWatchChange<Item>[]) => void;
  /** A watch stands: from now on changes are followed. */
  readonly onLive: () => void;
  /** Changes are not followed. Called for each failure. */
  readonly onFailure: (error: PodSourceError) => void;
}

export interface ListWatchChange<Item> {
  readonly kind: 'put' | 'remove';
  readonly item: Item;
}

export interface ListWatch {
  /** To be called when what was told is no more the ground to build on: the next thing told is a whole list. */
  relist(): void;
  /** Settles when the signal has aborted and no request or timer is left. Never rejects. */
  readonly ended: Promise<void>;
}

interface WatchEvent {
  readonly type?: string;
  readonly object?: KubernetesObject & { readonly code?: number; readonly message?: string };
}

export function startListWatch<Item extends KubernetesObject = KubernetesPod>(
  options: ListWatchOptions<Item>,
): ListWatch {
  const { clock, timings, signal, path } = options;
  const client = createKubernetesClient(options.server, clock);
  const pace = createRequestPace({ clock, ...timings });
  /** The last that was seen; undefined when only a list can tell where things stand. */
  let resourceVersion: string | undefined;
  let mustRelist = false;
  let endWatch: (() => void) | undefined;

  const get = (query: Readonly<Record<string, string>>): Promise<IncomingMessage> =>
    client.get(`${path}?${new URLSearchParams({ fieldSelector: options.fieldSelector, ...query })}`, {
      credentials: options.credentials,
      signal,
      answerTimeoutMs: timings.answerTimeoutMs,
      onRequest: pace.noteRequest,
    });

  const list = async (): Promise<void> => {
    mustRelist = false;
    const listing = options.startListing();
    let listedVersion: string | undefined;
    let next = '';
    do {
      // No resourceVersion: the answer is never older than one that was given before, and pages are served.
      const response = await get({ limit: String(pageSize), ...(next === '' ? {} : { continue: next }) });
      const body = await readBody(response, {
        maximumBytes: maximumPageBytes,
        timeoutMs: timings.bodyTimeoutMs,
        clock,
        place: path,
      });
      const page = parseList<Item>(body, path);
      listing.add(page.items);
      listedVersion = page.resourceVersion;
      next = page.next;
    } while (next !== '' && !signal.aborted);
    if (signal.aborted) return;
    listing.commit();
    resourceVersion = listedVersion;
  };

  const watch = async (from: string): Promise<void> => {
    const seconds = Math.max(1, Math.round((timings.watchDurationMs / 1000) * (0.8 + 0.4 * Math.random())));
    const response = await get({
      watch: '1',
      allowWatchBookmarks: 'true',
      resourceVersion: from,
      timeoutSeconds: String(seconds),
    });
    if (mustRelist) {
      response.destroy();
      return;
    }
    options.onLive();
    const cancelHealth = clock.setTimer(pace.noteHealth, timings.healthyAfterMs);
    const expire = (): void => {
      response.destroy(
        new PodSourceError('TIMEOUT', `The watch of ${path} was silent for ${timings.watchIdleTimeoutMs} ms.`),
      );
    };
    let cancelIdle = clock.setTimer(expire, timings.watchIdleTimeoutMs);
    const lines = createLineSplitter(maximumEventBytes);
    endWatch = () => response.destroy();
    try {
      for await (const portion of response as AsyncIterable<Buffer>) {
        cancelIdle();
        if (signal.aborted || mustRelist) return;
        takeEvents(lines.push(portion));
        cancelIdle = clock.setTimer(expire, timings.watchIdleTimeoutMs);
      }
    } catch (error) {
      if (mustRelist) return;
      if (isPodSourceError(error)) throw error;
      if (error instanceof RangeError) throw new PodSourceError('PROTOCOL', `${path}: ${error.message}`);
      throw failedConnection(error, path);
    } finally {
      endWatch = undefined;
      cancelIdle();
      cancelHealth();
    }
  };

  const takeEvents = (lines: readonly string[]): void => {
    const changes: ListWatchChange<Item>[] = [];
    let seen: string | undefined;
    let failure: PodSourceError | undefined;
    for (const line of lines) {
      const { type, object } = parseEvent(line, path);
      if (type === 'ERROR') {
        failure = watchFailure(object ?? {}, path);
        break;
      }
      seen = object?.metadata?.resourceVersion ?? seen;
      if (type === 'ADDED' || type === 'MODIFIED') changes.push({ kind: 'put', item: object as Item });
      else if (type === 'DELETED') changes.push({ kind: 'remove', item: object as Item });
    }
    if (changes.length > 0) options.onChanges(changes);
    if (seen !== undefined) {
      resourceVersion = seen;
      pace.noteHealth();
    }
    if (failure !== undefined) throw failure;
  };

  /** What the failure says about where to go on from. */
  const react = (error: PodSourceError): void => {
    // Sockets that are kept are suspect after one of them failed.
    client.dropConnections();
    const isExpired = error.status === 410;
    const isRefused = error.status === 401 || error.status === 403 || error.status === 429;
    // A version from before the server's data was restored is never served again, and the error has many forms.
    const isUnserved = error.status !== undefined && !isRefused && pace.failures >= 2;
    if (isExpired || isUnserved) resourceVersion = undefined;
    // One that expired was healthy, and the list follows at once.
    if (!(isExpired && pace.failures === 0)) options.onFailure(error);
  };

  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      let failure: PodSourceError | undefined;
      try {
        if (resourceVersion === undefined || mustRelist) await list();
        if (resourceVersion !== undefined && !signal.aborted) await watch(resourceVersion);
      } catch (error) {
        if (signal.aborted) break;
        failure = isPodSourceError(error)
          ? error
          : new PodSourceError('PROTOCOL', `${path} could not be followed: ${String(error)}.`, { cause: error });
        react(failure);
      }
      const pauseMs = pace.pauseMs({ failed: failure !== undefined, retryAfterMs: failure?.retryAfterMs });
      if (pauseMs > 0) await wait(pauseMs, { clock, signal });
    }
    client.dropConnections();
  };

  return {
    relist: () => {
      mustRelist = true;
      endWatch?.();
    },
    ended: run(),
  };
}

interface ListPage<Item> {
  readonly items: readonly Item[];
  readonly resourceVersion: string;
  /** Empty: this is the last. */
  readonly next: string;
}

function parseList<Item>(body: string, path: string): ListPage<Item> {
  const { items, metadata } = parseJson(body, path) as {
    items?: unknown;
    metadata?: { resourceVersion?: unknown; continue?: unknown };
  };
  const version = metadata?.resourceVersion;
  if (typeof version !== 'string' || version === '' || !(Array.isArray(items) || items === null)) {
    throw new PodSourceError('PROTOCOL', `${path} did not answer with a list.`);
  }
  const next = metadata?.continue;
  return { items: (items ?? []) as Item[], resourceVersion: version, next: typeof next === 'string' ? next : '' };
}

function parseEvent(line: string, path: string): WatchEvent {
  const event = parseJson(line, path) as WatchEvent;
  if (typeof event.type !== 'string' || typeof event.object !== 'object' || event.object === null) {
    throw new PodSourceError('PROTOCOL', `The watch of ${path} sent something that is no event.`);
  }
  return event;
}

function parseJson(text: string, path: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Told below, without the text, which may be secret.
  }
  throw new PodSourceError('PROTOCOL', `${path} sent something that is no JSON object.`);
}

function watchFailure({ code, message }: NonNullable<WatchEvent['object']>, path: string): PodSourceError {
  return new PodSourceError(
    'UNAVAILABLE',
    `The watch of ${path} ended with an error: ${message ?? 'no reason given'}.`,
    {
      ...(code === undefined ? {} : { status: code }),
    },
  );
}
