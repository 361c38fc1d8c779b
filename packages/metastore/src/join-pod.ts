/** The join: what is known of one pod and of its containers becomes the pod that a reader sees. Pure. */
import {
  type AssignedRole,
  assignContainerRoles,
  type Container,
  type KubernetesMarks,
  type KubernetesPod,
  type MetadataRule,
  type Pod,
  type PodDiagnostic,
  type PodPhase,
  resolveApp,
  resolvePodHostname,
  resolvePodOwner,
  type SidecarPredicate,
  type SidecarRule,
} from '@crikit/core';
import type { ContainerFacts } from './container-facts.js';
import { phaseOfContainers } from './phase-of-containers.js';

export interface JoinRules {
  readonly sidecars: readonly SidecarRule[] | SidecarPredicate;
  readonly app: readonly MetadataRule[];
  readonly hostname: readonly MetadataRule[];
}

export interface JoinInput {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** The Kubernetes object, the last known one; absent for a pod that is known by its containers alone. */
  readonly object?: KubernetesPod;
  /** Whether the source of pods has the pod now; `unasked`: there is none that tells of pods. Default: `unasked`. */
  readonly inSource?: 'yes' | 'no' | 'unasked';
  /** Whether the pod ought to have a sandbox. */
  readonly sandboxed: boolean;
  readonly members: readonly ContainerFacts[];
  /** Containers that claim the pod and were not let in. Default: none. */
  readonly refused?: readonly ContainerFacts[];
  /** Names of all containers that the pod was ever seen with. */
  readonly knownContainerNames: readonly string[];
}

export interface JoinedPod {
  /** Frozen. */
  readonly pod: Pod;
  /** Every member by its key, frozen; those that were refused have no `podUid`. */
  readonly containers: ReadonlyMap<string, Container>;
}

/** Annotations of the pod as cri-dockerd writes them on the sandbox, among its labels. */
const annotationPrefix = 'annotation.';
/** Labels that the kubelet and the engines add; they are not the pod's. */
const foreignLabelPrefixes = ['io.kubernetes.', 'io.cri-containerd.', annotationPrefix];

export function joinPod(input: JoinInput, rules: JoinRules): JoinedPod {
  const { uid, namespace, name, object } = input;
  // What the source said of a pod that it has forgotten is a matter of the past; its containers tell how it goes on.
  const current = input.inSource === 'no' ? undefined : object;
  const { accepted, refused } = separateForged(input.members);
  const sandboxes = accepted.filter(isMarkedSandbox);
  const runningSandboxes = sandboxes.filter(({ container }) => container.state.status === 'running');
  const live = runningSandboxes.length === 1 ? runningSandboxes[0] : undefined;

  const { labels, annotations } = describePod(input, accepted, live ?? newest(sandboxes));
  const sidecars = guardSidecars(rules.sidecars);
  const roles = assignContainerRoles({
    object,
    annotations,
    rules: sidecars.rules,
    knownContainerNames: input.knownContainerNames,
    containers: accepted.map(({ key, container, marks }) => ({
      id: key,
      k8sName: k8sNameOf(marks),
      env: container.env,
      isSandbox: marks?.kind === 'sandbox',
    })),
  });
  const containers = new Map(
    accepted.map((facts) => [facts.key, completeContainer(facts, uid, roles.get(facts.key), sandboxes)]),
  );
  for (const { key, container } of refused) containers.set(key, container);

  const joined = sortContainers(accepted.map(({ key }) => containers.get(key) as Container));
  const sandboxContainers = joined.filter(({ role }) => role === 'sandbox');
  const all = joined.filter((container) => belongsToLive(container, live?.container));
  const pod: Pod = {
    uid,
    namespace,
    name,
    phase: phaseOf(current) ?? phaseOfContainers(joined, sandboxContainers),
    labels,
    annotations,
    all: Object.freeze(all),
    biz: Object.freeze(all.filter(({ role }) => role === 'biz')),
    sidecar: Object.freeze(all.filter(({ role }) => role === 'sidecar')),
    initContainers: Object.freeze(joined.filter(({ role }) => role === 'init')),
    ephemeralContainers: Object.freeze(joined.filter(({ role }) => role === 'ephemeral')),
    exited: Object.freeze(joined.filter((container) => !all.includes(container))),
    hostname: resolvePodHostname({ name, labels, object }, rules.hostname).value,
    diagnostics: diagnose(
      input,
      accepted,
      [...refused, ...(input.refused ?? [])],
      runningSandboxes.length,
      sidecars.failures,
    ),
    ...optional('object', object),
    ...optional('sandbox', live === undefined ? undefined : containers.get(live.key)),
    ...optional('app', resolveApp({ name, labels, object }, rules.app)?.value),
    ...optional('ip', object?.status?.podIP),
    ...optional('hostIP', object?.status?.hostIP),
    ...optional('owner', object === undefined ? undefined : resolvePodOwner(object)),
  };
  return { pod: Object.freeze(pod), containers };
}

/** A function of the user's that throws makes its container no sidecar; the pod says so. */
function guardSidecars(rules: JoinRules['sidecars']): { rules: JoinRules['sidecars']; failures: readonly string[] } {
  if (typeof rules !== 'function') return { rules, failures: [] };
  const failures: string[] = [];
  return {
    failures,
    rules: (container, pod) => {
      try {
        return rules(container, pod);
      } catch (error) {
        failures.push(
          `The sidecar function threw for container ${container.k8sName ?? container.id}: ${String(error)}.`,
        );
        return false;
      }
    },
  };
}

/**
 * Marks that an image's labels could have written never bring a container into a pod that another engine vouches for.
 */
function separateForged(members: readonly ContainerFacts[]): {
  accepted: readonly ContainerFacts[];
  refused: readonly ContainerFacts[];
} {
  const vouching = new Set(
    members.flatMap(({ marks, container }) => (marks?.trust === 'engine' ? [container.engineId] : [])),
  );
  if (vouching.size === 0) return { accepted: members, refused: [] };
  const isForged = ({ marks, container }: ContainerFacts): boolean =>
    marks?.trust === 'labels' && !vouching.has(container.engineId);
  return { accepted: members.filter((facts) => !isForged(facts)), refused: members.filter(isForged) };
}

function describePod(
  { object, sandboxed }: JoinInput,
  accepted: readonly ContainerFacts[],
  sandbox: ContainerFacts | undefined,
): Pick<Pod, 'labels' | 'annotations'> {
  if (object !== undefined) {
    return {
      labels: Object.freeze({ ...object.metadata?.labels }),
      annotations: Object.freeze({ ...object.metadata?.annotations }),
    };
  }
  const source = sandboxed ? sandbox : accepted[0];
  const entries = Object.entries(source?.container.labels ?? {});
  return {
    labels: freezeEntries(
      entries.filter(([key]) => !foreignLabelPrefixes.some((prefix) => sandboxed && key.startsWith(prefix))),
    ),
    annotations: freezeEntries(
      sandboxed
        ? entries
            .filter(([key]) => key.startsWith(annotationPrefix))
            .map(([key, value]) => [key.slice(annotationPrefix.length), value])
        : [],
    ),
  };
}

function completeContainer(
  { container, marks }: ContainerFacts,
  podUid: string,
  assigned: AssignedRole | undefined,
  sandboxes: readonly ContainerFacts[],
): Container {
  const sandboxId = marks?.sandboxId;
  const own = sandboxes.find((sandbox) => sandbox.container.id === sandboxId);
  // A container shares its sandbox's network, and says so only in its engine's words (`container:4f5e…`).
  const networkMode = own?.container.networkMode ?? container.networkMode;
  return Object.freeze({
    ...container,
    podUid,
    ...optional('k8sName', k8sNameOf(marks)),
    ...optional('role', assigned?.role),
    ...optional('roleReason', assigned?.reason),
    ...optional('sandboxId', sandboxId),
    ...optional('networkMode', networkMode),
  });
}

function belongsToLive(container: Container, liveSandbox: Container | undefined): boolean {
  const { status } = container.state;
  if (status !== 'running' && status !== 'paused' && status !== 'restarting') return false;
  if (liveSandbox === undefined || container.sandboxId === undefined) return true;
  return container.sandboxId === liveSandbox.id;
}

function diagnose(
  { sandboxed, uid, object, inSource = 'unasked' }: JoinInput,
  accepted: readonly ContainerFacts[],
  refused: readonly ContainerFacts[],
  runningSandboxes: number,
  sidecarFailures: readonly string[],
): readonly PodDiagnostic[] {
  const diagnostics: PodDiagnostic[] = [];
  if (inSource === 'no') {
    diagnostics.push({
      code: 'not-in-source',
      message:
        object === undefined
          ? 'The source of pods does not know this pod; it is shown as its containers tell.'
          : 'The source of pods knows this pod no more; its containers are still there.',
    });
  }
  if (accepted.length === 0) {
    // Before the kubelet has begun there is nothing to miss.
    if (object?.status?.phase === 'Running') {
      diagnostics.push({ code: 'no-containers', message: 'No engine shows a container of this pod.' });
    }
  } else if (sandboxed && runningSandboxes === 0) {
    diagnostics.push({ code: 'no-running-sandbox', message: 'No sandbox of this pod is running.' });
  }
  if (runningSandboxes > 1) {
    diagnostics.push({
      code: 'several-running-sandboxes',
      message: `${runningSandboxes} sandboxes of this pod are running; none is taken for the live one.`,
    });
  }
  for (const { container, failure } of accepted) {
    if (failure === undefined) continue;
    diagnostics.push({
      code: 'details-failed',
      message: `Container ${container.name} (${container.shortId}) is shown as last known: ${failure.message}`,
    });
  }
  for (const { container } of refused) {
    diagnostics.push({
      code: 'untrusted-marks',
      message: `Container ${container.name} (${container.shortId}) of ${container.engineId} claims pod ${uid} by labels alone and was left out.`,
    });
  }
  for (const message of sidecarFailures) diagnostics.push({ code: 'sidecar-function-failed', message });
  return Object.freeze(diagnostics.map((diagnostic) => Object.freeze(diagnostic)));
}

function phaseOf(object: KubernetesPod | undefined): PodPhase | undefined {
  if (object === undefined) return undefined;
  const phase = object.status?.phase;
  return phase === 'Pending' || phase === 'Running' || phase === 'Succeeded' || phase === 'Failed' ? phase : 'Unknown';
}

/** The name in the pod's spec; a sandbox has none there, whatever its labels say. */
export function k8sNameOf(marks: KubernetesMarks | undefined): string | undefined {
  return marks?.kind === 'sandbox' ? undefined : marks?.containerName;
}

function isMarkedSandbox({ marks }: ContainerFacts): boolean {
  return marks?.kind === 'sandbox';
}

function newest(facts: readonly ContainerFacts[]): ContainerFacts | undefined {
  return [...facts].sort((one, other) => compareStarts(one.container, other.container))[0];
}

/** The sandbox first, then by name; of one name the newest first. */
function sortContainers(containers: readonly Container[]): readonly Container[] {
  const rank = ({ role }: Container): number => (role === 'sandbox' ? 0 : 1);
  const name = (container: Container): string => container.k8sName ?? container.name;
  return [...containers].sort(
    (one, other) =>
      rank(one) - rank(other) ||
      compareText(name(one), name(other)) ||
      compareStarts(one, other) ||
      compareText(one.id, other.id),
  );
}

function compareStarts(one: Container, other: Container): number {
  return compareText(other.state.startedAt ?? '', one.state.startedAt ?? '');
}

function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

function freezeEntries(entries: readonly (readonly [string, string])[]): Readonly<Record<string, string>> {
  return Object.freeze(Object.fromEntries(entries));
}

function optional<Key extends string, Value>(key: Key, value: Value | undefined): { readonly [key in Key]?: Value } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [key in Key]: Value });
}
