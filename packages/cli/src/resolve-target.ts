/** What the word TARGET of a command line means. */
import {
  type Container,
  findContainerOrThrow,
  InvalidArgumentError,
  isAmbiguousContainerError,
  NoBizError,
  NoPodError,
  NoSuchContainerError,
  type Pod,
} from '@crikit/core';
import type { MetaStore } from '@crikit/metastore';
import { AmbiguousTargetError } from './errors/ambiguous-target-error.js';
import { describeStatus } from './output/container-columns.js';
import { nameOfContainer } from './output/describe-container.js';
import { containersOf } from './output/describe-pod.js';

export type Target =
  | { readonly kind: 'pod'; readonly pod: Pod }
  | { readonly kind: 'container'; readonly container: Container };

const minIdPrefixLength = 6;

/**
 * A container by its id, a prefix of it of at least 6 characters, its name (the engine's, or the one in the pod's spec),
 * `namespace/pod/container`, or the pid of a process in it; a pod by `namespace/pod` or its name alone. Throws
 * `AmbiguousTargetError` for what fits several, `NOT_FOUND` or `NO_POD` for what fits none.
 */
export function resolveTarget(store: MetaStore, text: string): Target {
  if (text.includes('://')) return resolveSchemedId(store, text);
  const [first = '', second, third, ...more] = text.split('/');
  if (text === '' || more.length > 0 || second === '' || third === '') {
    throw new InvalidArgumentError(
      `'${text}' is no TARGET: give an id, a name, NAMESPACE/POD, NAMESPACE/POD/CONTAINER or a pid.`,
    );
  }
  if (second === undefined) return resolveWord(store, first);
  const pod = findPod(store, first, second);
  return third === undefined
    ? { kind: 'pod', pod }
    : { kind: 'container', container: findContainerOrThrow(pod, third) };
}

/** As `resolveTarget`; a pod stands for its one business container, also one that has ended. */
export function resolveContainer(store: MetaStore, text: string): Container {
  const target = resolveTarget(store, text);
  return target.kind === 'container' ? target.container : businessContainerOf(store, target.pod);
}

function businessContainerOf(store: MetaStore, pod: Pod): Container {
  const candidates = businessContainers(pod);
  const [only, ...others] = candidates;
  if (only === undefined) throw new NoBizError(pod);
  if (others.length === 0) return only;
  throw ambiguous(
    `Pod ${pod.namespace}/${pod.name} has ${candidates.length} business containers:`,
    candidates.map(asTarget),
    store,
  );
}

/** One for each name: the one that runs, else the one that was started last. Those that have ended count where none runs. */
function businessContainers(pod: Pod): readonly Container[] {
  const known = pod.biz.length > 0 ? pod.biz : containersOf(pod).filter(({ role }) => role === 'biz');
  const byName = new Map<string, Container>();
  for (const container of known) {
    const name = container.k8sName ?? container.name;
    const other = byName.get(name);
    if (other === undefined || (other.state.startedAt ?? '') < (container.state.startedAt ?? ''))
      byName.set(name, container);
  }
  return [...byName.values()];
}

function resolveSchemedId(store: MetaStore, text: string): Target {
  try {
    const container = store.getContainerByCid(text);
    if (container !== undefined) return { kind: 'container', container };
  } catch (error) {
    if (!isAmbiguousContainerError(error)) throw error;
    throw new AmbiguousTargetError(
      `'${text}' fits ${error.candidates.length} containers:`,
      error.candidates,
      'Give more characters of the id.',
    );
  }
  throw notFound(store, text);
}

function findPod(store: MetaStore, namespace: string, name: string): Pod {
  const pod = store.getPod(namespace, name);
  if (pod !== undefined) return pod;
  const elsewhere = store.getAllPods().filter((other) => other.name === name);
  if (elsewhere.length === 0) throw new NoPodError(`${namespace}/${name}`);
  throw new NoPodError(
    `${namespace}/${name} (but ${elsewhere.map((other) => `${other.namespace}/${other.name}`).join(', ')})`,
  );
}

function resolveWord(store: MetaStore, word: string): Target {
  const containers = store.getAllContainers({ withoutPod: true });
  const exact = containers.filter(({ id }) => id === word);
  const found = exact.length > 0 ? exact.map(asTarget) : fitWord(store, word, containers);
  const pods = found.flatMap((target) => (target.kind === 'pod' ? target.pod : []));
  // A pod stands for its business container: a name that both have names the pod.
  const stoodFor = new Set(
    pods.flatMap((pod) => {
      const [first, ...more] = businessContainers(pod);
      return more.length === 0 ? (first ?? []) : [];
    }),
  );
  const distinct = found.filter((target) => target.kind === 'pod' || !stoodFor.has(target.container));
  const [only, ...others] = distinct;
  if (only === undefined) throw notFound(store, word);
  if (others.length > 0) throw ambiguous(`'${word}' fits ${distinct.length}:`, distinct, store);
  return only;
}

function fitWord(store: MetaStore, word: string, containers: readonly Container[]): readonly Target[] {
  const fitting = new Set<Container>();
  for (const container of containers) {
    const isPrefix = word.length >= minIdPrefixLength && container.id.startsWith(word);
    if (isPrefix || container.name === word) fitting.add(container);
  }
  const pods = store.getAllPods();
  for (const pod of pods) {
    // The first is the one that runs, where there is one.
    const named = containersOf(pod).find(({ k8sName, role }) => k8sName === word && role !== 'sandbox');
    if (named !== undefined) fitting.add(named);
  }
  const byPid = /^[1-9]\d{0,9}$/.test(word) ? store.getContainerByPid(Number(word)) : undefined;
  if (byPid !== undefined) fitting.add(byPid);
  return [
    ...pods.filter(({ name }) => name === word).map((pod): Target => ({ kind: 'pod', pod })),
    ...[...fitting].map(asTarget),
  ];
}

function asTarget(container: Container): Target {
  return { kind: 'container', container };
}

function ambiguous(message: string, targets: readonly Target[], store: MetaStore): AmbiguousTargetError {
  const shortIds = targets.flatMap((target) => (target.kind === 'container' ? target.container.shortId : []));
  const lines = targets.map((target) => {
    if (target.kind === 'pod') return `${target.pod.namespace}/${target.pod.name}  (pod, ${target.pod.phase})`;
    const { container } = target;
    const isOnly = shortIds.filter((id) => id === container.shortId).length === 1;
    const name = nameOfContainer(container, store.getPodOf(container));
    return `${isOnly ? container.shortId : container.id}  ${name}  (${container.engineType}, ${describeStatus(container)})`;
  });
  const byName = (line: string): string => line.replace(/^[0-9a-f]+ {2}/, '');
  lines.sort((one, other) => (byName(one) < byName(other) ? -1 : 1));
  return new AmbiguousTargetError(message, lines, 'Give what its line begins with.');
}

function notFound(store: MetaStore, word: string): NoSuchContainerError {
  const names = new Set([
    ...store.getAllPods().map(({ namespace, name }) => (namespace === '' ? name : `${namespace}/${name}`)),
    ...store
      .getAllContainers({ withoutPod: true })
      .flatMap((container) => (container.podUid === undefined ? container.name : (container.k8sName ?? []))),
  ]);
  const similar = [...names].filter((name) => word.length >= 2 && name.includes(word)).slice(0, 5);
  const hint =
    /^[0-9a-f]+$/.test(word) && word.length < minIdPrefixLength
      ? ` Prefixes of ids have at least ${minIdPrefixLength} characters.`
      : '';
  const near = similar.length === 0 ? '' : ` Did you mean ${similar.join(', ')}?`;
  return new NoSuchContainerError(`No container or pod on this node fits '${word}'.${hint}${near}`, {
    applied: 'no',
    remedy: "'crikit ps --all' shows them.",
  });
}
