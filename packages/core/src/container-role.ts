import type { ContainerRole } from './container.js';
import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import type { KubernetesContainer, KubernetesPod } from './kubernetes-pod.js';

/** Sidecar rules when nothing else is said. */
export const DEFAULT_SIDECAR_RULES = 'name:sidecar';

/**
 * Sidecar rules for the proxies that service meshes inject, to be added by whoever wants them:
 * `` `${DEFAULT_SIDECAR_RULES},${INJECTED_PROXY_SIDECARS}` ``. Istio, Linkerd, Consul (new and old), Kuma, Dapr.
 */
export const INJECTED_PROXY_SIDECARS =
  'name:istio-proxy,name:linkerd-proxy,name:consul-dataplane,name:envoy-sidecar,name:kuma-sidecar,name:daprd';

/** The annotation with which a pod names its main container, as kubectl reads it. */
export const DEFAULT_CONTAINER_ANNOTATION = 'kubectl.kubernetes.io/default-container';

/** One part of a sidecar expression. */
export type SidecarRule =
  /** Fits when `part` is a part of the container's name in the pod's spec. */
  | { readonly kind: 'name'; readonly part: string }
  /** Fits when the container's environment has exactly this pair. */
  | { readonly kind: 'env'; readonly name: string; readonly value: string };

/** What is known of a container when its role is decided. */
export interface RoleCandidate {
  readonly id: string;
  /** Name in the pod's spec; absent for a container that no kubelet made. */
  readonly k8sName?: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  /** What the engine says, by its own marks. */
  readonly isSandbox: boolean;
}

/** Replaces the sidecar expression: true makes a regular container a sidecar. Must depend on nothing but its arguments. */
export type SidecarPredicate = (
  container: RoleCandidate,
  pod: { readonly object?: KubernetesPod | undefined; readonly annotations: Readonly<Record<string, string>> },
) => boolean;

export interface AssignRolesInput {
  /** The Kubernetes object; absent for a pod that is known by its containers' labels alone. */
  readonly object?: KubernetesPod | undefined;
  readonly annotations: Readonly<Record<string, string>>;
  /** Every container of the pod that is known, running or not. */
  readonly containers: readonly RoleCandidate[];
  /**
   * For pods without a spec: the names of all containers but sandboxes that the pod was ever seen with, so that one
   * which is gone still counts. Default: those of `containers`.
   */
  readonly knownContainerNames?: readonly string[] | undefined;
  readonly rules: readonly SidecarRule[] | SidecarPredicate;
}

export interface AssignedRole {
  readonly role: ContainerRole;
  /** The rule that gave the role, in words. */
  readonly reason: string;
}

/**
 * Reads a sidecar expression such as `name:sidecar,name:proxy,env:ROLE:sidecar`. The empty expression has no rules.
 * A value cannot hold a comma; who needs that gives a function instead. Throws `InvalidArgumentError` that shows the
 * bad part.
 */
export function parseSidecarRules(expression: string): readonly SidecarRule[] {
  if (expression.trim() === '') return [];
  return expression.split(',').map((text) => {
    const part = text.trim();
    const [kind, ...rest] = part.split(':');
    if (kind === 'name' && rest.length === 1 && rest[0] !== '' && rest[0] !== undefined) {
      return { kind, part: rest[0] };
    }
    if (kind === 'env') {
      const [name, ...values] = rest;
      const value = values.join(':');
      if (name !== undefined && name !== '' && value !== '') return { kind, name, value };
    }
    throw new InvalidArgumentError(
      `'${part}' in the sidecar rules '${expression}' is not 'name:<part of the name>' or 'env:<NAME>:<value>'.`,
    );
  });
}

/**
 * Gives each container of one pod its role, by container id. The role of one does not depend on whether another still
 * runs. In this order:
 *
 * 1. what the engine calls the sandbox is the sandbox
 * 2. ephemeral and init containers of the spec are that; an init container with `restartPolicy: Always` is a sidecar;
 *    a container that the spec does not have can only be a debug container that was just attached: ephemeral
 * 3. a container that is alone in its spec (without a spec: alone in what the labels show) is biz
 * 4. where the annotation `kubectl.kubernetes.io/default-container` names one of the regular containers, that one is
 *    biz and the others are sidecars
 * 5. what the rules fit is a sidecar, everything else is biz
 */
export function assignContainerRoles(input: AssignRolesInput): Map<string, AssignedRole> {
  const regularNames = listRegularNames(input);
  const annotated = input.annotations[DEFAULT_CONTAINER_ANNOTATION];
  const named = annotated !== undefined && regularNames.has(annotated) ? annotated : undefined;
  return new Map(
    input.containers.map((container) => [
      container.id,
      roleBySpec(container, input) ?? roleOfRegular(container, input, regularNames, named),
    ]),
  );
}

function roleBySpec(container: RoleCandidate, { object }: AssignRolesInput): AssignedRole | undefined {
  if (container.isSandbox) return { role: 'sandbox', reason: "the engine marks it as the pod's sandbox" };
  const { k8sName } = container;
  const spec = object?.spec;
  if (k8sName === undefined || spec?.containers === undefined) return undefined;
  if (hasName(spec.containers, k8sName)) return undefined;
  const init = spec.initContainers?.find(({ name }) => name === k8sName);
  if (init?.restartPolicy === 'Always') {
    return { role: 'sidecar', reason: 'native sidecar: an init container with restartPolicy Always' };
  }
  if (init !== undefined) return { role: 'init', reason: "listed in the spec's initContainers" };
  if (hasName(spec.ephemeralContainers ?? [], k8sName)) {
    return { role: 'ephemeral', reason: "listed in the spec's ephemeralContainers" };
  }
  return { role: 'ephemeral', reason: 'not in the spec that is known, to which only debug containers can be added' };
}

function roleOfRegular(
  container: RoleCandidate,
  input: AssignRolesInput,
  regularNames: ReadonlySet<string>,
  named: string | undefined,
): AssignedRole {
  const where = input.object?.spec?.containers === undefined ? "pod's labels show" : "pod's spec has";
  if (regularNames.size === 1) return { role: 'biz', reason: `the only container that the ${where}` };
  if (named !== undefined) {
    return container.k8sName === named
      ? { role: 'biz', reason: `named by the annotation ${DEFAULT_CONTAINER_ANNOTATION}` }
      : {
          role: 'sidecar',
          reason: `the annotation ${DEFAULT_CONTAINER_ANNOTATION} names '${named}' as the biz container`,
        };
  }
  if (typeof input.rules === 'function') {
    return input.rules(container, { object: input.object, annotations: input.annotations })
      ? { role: 'sidecar', reason: 'the sidecar function says so' }
      : { role: 'biz', reason: 'the sidecar function does not call it a sidecar' };
  }
  const rule = input.rules.find((candidate) => fits(candidate, container, input.object));
  return rule === undefined
    ? { role: 'biz', reason: 'no sidecar rule fits' }
    : { role: 'sidecar', reason: `sidecar rule '${showRule(rule)}'` };
}

function listRegularNames({ object, containers, knownContainerNames = [] }: AssignRolesInput): ReadonlySet<string> {
  const inSpec = object?.spec?.containers;
  if (inSpec !== undefined) return new Set(inSpec.map(({ name }) => name));
  const seen = containers.filter(({ isSandbox }) => !isSandbox).map(({ id, k8sName }) => k8sName ?? id);
  return new Set([...knownContainerNames, ...seen]);
}

function fits(rule: SidecarRule, container: RoleCandidate, object: KubernetesPod | undefined): boolean {
  const { k8sName, env } = container;
  if (rule.kind === 'name') return k8sName?.includes(rule.part) === true;
  // The engine may have forgotten the environment of a container that ended; its role must not change by that.
  const inSpec = object?.spec?.containers?.find(({ name }) => name === k8sName)?.env;
  const value = Object.hasOwn(env, rule.name) ? env[rule.name] : inSpec?.find(({ name }) => name === rule.name)?.value;
  return value === rule.value;
}

function showRule(rule: SidecarRule): string {
  return rule.kind === 'name' ? `name:${rule.part}` : `env:${rule.name}:${rule.value}`;
}

function hasName(containers: readonly KubernetesContainer[], k8sName: string): boolean {
  return containers.some(({ name }) => name === k8sName);
}
