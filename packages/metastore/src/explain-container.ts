/** Says why a store knows a container, or why it does not, in words that a person can act on. */
import { type Container, type ContainerEngine, isAmbiguousContainerError } from '@crikit/core';
import { containerKey } from './container-facts.js';
import { findContainerByCid, minIdPrefixLength } from './find-container.js';
import type { EngineStatus, MetaStoreStatus, PodSourceStatus } from './meta-store-status.js';
import type { PodAssembler } from './pod-assembler.js';
import type { Snapshot } from './snapshot.js';

/** Plain data, safe to stringify. */
export interface ContainerExplanation {
  /** As it was asked for. */
  readonly cid: string;
  /** `deleted`: gone, and still within the grace period. */
  readonly outcome: 'known' | 'deleted' | 'ambiguous' | 'unknown';
  readonly container?: Container;
  /** The engine that shows it, and how far it can be relied on. */
  readonly engine?: EngineStatus;
  readonly podSource: PodSourceStatus;
  /** Sentences: which engine shows it, why it is in its pod or in none, what gave it its role; or what may be wrong. */
  readonly reasons: readonly string[];
}

export interface ExplainGrounds {
  readonly snapshot: Snapshot;
  readonly departed: Snapshot;
  readonly status: MetaStoreStatus;
  readonly engines: readonly ContainerEngine[];
  readonly assembler: Pick<PodAssembler, 'placementOf' | 'isHidden'>;
}

export function explainContainer(cid: string, grounds: ExplainGrounds): ContainerExplanation {
  const { snapshot, departed, status, engines } = grounds;
  const { podSource } = status;
  let living: Container | undefined;
  let gone: Container | undefined;
  try {
    living = findContainerByCid(snapshot, cid, () => engines);
    if (living === undefined) gone = findContainerByCid(departed, cid, () => engines);
  } catch (error) {
    if (!isAmbiguousContainerError(error)) throw error;
    return { cid, outcome: 'ambiguous', podSource, reasons: [error.message] };
  }
  const container = living ?? gone;
  if (container === undefined) {
    return { cid, outcome: 'unknown', podSource, reasons: explainAbsence(cid, grounds) };
  }
  const engine = status.engines.find(({ id }) => id === container.engineId);
  return {
    cid,
    outcome: gone === undefined ? 'known' : 'deleted',
    container,
    podSource,
    ...(engine === undefined ? {} : { engine }),
    reasons: [
      ...(gone === undefined ? [] : [`The engine has it no more since ${gone.deletedAt}.`]),
      describeEngine(container.engineId, engine),
      ...explainPod(container, grounds),
      ...(container.role === undefined ? [] : [`Its role is ${container.role}: ${container.roleReason}.`]),
    ],
  };
}

function explainPod(container: Container, { snapshot, assembler, status }: ExplainGrounds): readonly string[] {
  const placement = assembler.placementOf(containerKey(container.engineId, container));
  const { podUid } = container;
  if (podUid === undefined) {
    return placement === undefined ? ['No pod owns it.'] : [`No pod owns it: ${placement.reason}.`];
  }
  const pod = snapshot.podsByUid.get(podUid);
  const name = pod === undefined ? '' : ` ${pod.namespace}/${pod.name}`;
  const reasons = [
    `It belongs to pod${name} (${podUid})${placement === undefined ? '' : `: ${placement.reason}`}.`,
    ...(pod?.diagnostics ?? []).map(({ message }) => message),
  ];
  if (pod === undefined) {
    reasons.push(
      assembler.isHidden(podUid)
        ? 'The pod has finished and is not shown (trackFinishedPods is off).'
        : 'The pod is not shown any more.',
    );
  } else if (pod.object === undefined) {
    reasons.push('The pod is made from the marks of its containers.');
  } else {
    const { name: source, backend, state } = status.podSource;
    reasons.push(`The pod's object is from source ${source} (${backend}), which is ${state}.`);
  }
  return reasons;
}

function explainAbsence(cid: string, { status, engines }: ExplainGrounds): readonly string[] {
  const reasons: string[] = [];
  const schemeEnd = cid.indexOf('://');
  const scheme = schemeEnd === -1 ? undefined : cid.slice(0, schemeEnd);
  const id = schemeEnd === -1 ? cid : cid.slice(schemeEnd + 3);
  if (status.state === 'new' || status.state === 'closed')
    reasons.push(`The store is ${status.state}: it reads nothing.`);
  if (id.length < minIdPrefixLength)
    reasons.push(`'${id}' is too short: give at least ${minIdPrefixLength} characters.`);
  if (scheme !== undefined && !engines.some(({ containerIdSchemes }) => containerIdSchemes.includes(scheme))) {
    reasons.push(`No engine of this store speaks the scheme ${scheme}://.`);
  }
  if (engines.length === 0) reasons.push('The store has found no engine.');
  for (const { type, status: probed, reason, attempts } of status.reports) {
    if (probed === 'connected') continue;
    const remedy = attempts.find((attempt) => attempt.remedy !== undefined)?.remedy;
    reasons.push(`Engine ${type} is not followed: ${reason}.${remedy === undefined ? '' : ` ${remedy}`}`);
  }
  for (const engine of status.engines) reasons.push(`${describeEngine(engine.id, engine)} It shows no such container.`);
  return reasons;
}

function describeEngine(id: string, engine: EngineStatus | undefined): string {
  if (engine === undefined) return `Engine ${id} is not followed any more.`;
  const { state, ageMs, error } = engine;
  const age = ageMs === undefined || ageMs === 0 ? '' : ` for ${ageMs} ms`;
  return `Engine ${id} is ${state}${age}${error === undefined ? '' : ` (${error.message})`}.`;
}
