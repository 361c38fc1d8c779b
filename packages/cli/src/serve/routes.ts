/** Every path that is answered; openapi.json describes the same, and a test holds them together. */
import { isAmbiguousContainerError } from '@crikit/core';
import { diagnose, type MetaStore } from '@crikit/metastore';
import { type Answer, answerFailure, answerJson } from './answer.js';
import type { Metrics } from './create-metrics.js';
import type { Page } from './load-page.js';
import openApi from './openapi.json' with { type: 'json' };
import { viewContainer } from './view-container.js';
import { viewExplanation } from './view-explanation.js';
import { viewPod, viewPodDetail } from './view-pod.js';
import { viewStatus } from './view-status.js';

export interface RouteRequest {
  /** A part of the path that the route names in braces; empty when it names none such. */
  parameter(name: string): string;
  readonly query: URLSearchParams;
}

export interface Route {
  /** As in openapi.json. */
  readonly path: string;
  /** Names of the query's parameters; others are refused. Default: none. */
  readonly query?: readonly string[];
  /** Who answers without a token tells no more than that it lives. Default: false. */
  readonly isOpen?: boolean;
  readonly answer: ((request: RouteRequest) => Answer | Promise<Answer>) | 'event-stream';
}

export interface RoutesOptions {
  readonly store: MetaStore;
  readonly page: Page;
  readonly metrics: Metrics;
}

export function createRoutes({ store, page, metrics }: RoutesOptions): readonly Route[] {
  const openApiAnswer = answerJson(openApi);
  return [
    {
      path: '/',
      // The token is taken before any route is asked.
      query: ['token'],
      answer: () => ({
        status: 200,
        contentType: 'text/html; charset=utf-8',
        body: page.html,
        headers: { 'content-security-policy': page.contentSecurityPolicy },
      }),
    },
    { path: '/healthz', isOpen: true, answer: () => answerJson({ status: 'ok' }) },
    {
      path: '/readyz',
      isOpen: true,
      answer: () => {
        const { ready } = store.status();
        return answerJson({ ready }, ready ? 200 : 503);
      },
    },
    {
      path: '/metrics',
      answer: async () => ({ status: 200, contentType: metrics.contentType, body: await metrics.read() }),
    },
    { path: '/openapi.json', answer: () => openApiAnswer },
    {
      path: '/api/v1/pods',
      query: ['ip', 'hostNetwork'],
      answer: ({ query }) => {
        const ip = query.get('ip');
        const hostNetwork = query.get('hostNetwork');
        if (hostNetwork !== null && !/^(true|false)$/.test(hostNetwork)) {
          return answerFailure('INVALID_ARGUMENT', "hostNetwork is 'true' or 'false'.");
        }
        if (hostNetwork !== null && ip === null) {
          return answerFailure('INVALID_ARGUMENT', 'hostNetwork goes with ip only.');
        }
        const pods = ip === null ? store.getAllPods() : store.getPodsByIp(ip, { hostNetwork: hostNetwork === 'true' });
        return answerJson({ sequence: store.status().sequence, pods: pods.map(viewPod) });
      },
    },
    {
      path: '/api/v1/pods/{uid}',
      answer: ({ parameter }) => {
        const uid = parameter('uid');
        const pod = store.getPodByUid(uid);
        if (pod === undefined) return answerFailure('NOT_FOUND', `There is no pod with the uid '${uid}'.`);
        return answerJson(viewPodDetail(pod, Date.now()));
      },
    },
    {
      path: '/api/v1/containers',
      answer: () => {
        const now = Date.now();
        const containers = store.getAllContainers({ withoutPod: true });
        return answerJson({
          sequence: store.status().sequence,
          containers: containers.map((container) => viewContainer(container, now)),
        });
      },
    },
    {
      path: '/api/v1/containers/{id}',
      answer: ({ parameter }) => answerContainer(store, parameter('id')),
    },
    {
      path: '/api/v1/containers/{id}/explanation',
      answer: ({ parameter }) => answerJson(viewExplanation(store.explain(parameter('id')), Date.now())),
    },
    {
      path: '/api/v1/processes/{pid}',
      answer: ({ parameter }) => {
        const text = parameter('pid');
        if (!/^[1-9]\d{0,9}$/.test(text)) return answerFailure('INVALID_ARGUMENT', `'${text}' is no pid.`);
        const container = store.getContainerByPid(Number(text));
        if (container === undefined)
          return answerFailure('NOT_FOUND', `No container is known to have process ${text}.`);
        return answerJson(viewContainer(container, Date.now()));
      },
    },
    { path: '/api/v1/status', answer: () => answerJson(viewStatus(store, Date.now())) },
    { path: '/api/v1/diagnosis', answer: () => answerJson(diagnose(store)) },
    { path: '/api/v1/events', answer: 'event-stream' },
  ];
}

function answerContainer(store: MetaStore, id: string): Answer {
  try {
    const container = store.getContainerByCid(id);
    if (container === undefined) return answerFailure('NOT_FOUND', `There is no container '${id}'.`);
    return answerJson(viewContainer(container, Date.now()));
  } catch (error) {
    if (!isAmbiguousContainerError(error)) throw error;
    return answerFailure('AMBIGUOUS', error.message, { candidates: error.candidates });
  }
}

export interface FoundRoute {
  readonly route: Route;
  parameter(name: string): string;
}

/** Undefined when there is none, or the path is not well encoded. */
export function findRoute(routes: readonly Route[], path: string): FoundRoute | undefined {
  const given = path.split('/');
  for (const route of routes) {
    const parts = route.path.split('/');
    if (parts.length !== given.length) continue;
    const parameters = matchParts(parts, given);
    if (parameters !== undefined) return { route, parameter: (name) => parameters.get(name) ?? '' };
  }
  return undefined;
}

function matchParts(parts: readonly string[], given: readonly string[]): ReadonlyMap<string, string> | undefined {
  const parameters = new Map<string, string>();
  for (const [index, part] of parts.entries()) {
    const actual = given[index] ?? '';
    const name = /^\{(.+)\}$/.exec(part)?.[1];
    if (name === undefined) {
      if (part !== actual) return undefined;
    } else {
      const value = decode(actual);
      if (value === undefined || value === '') return undefined;
      parameters.set(name, value);
    }
  }
  return parameters;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
