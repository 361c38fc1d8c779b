import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import type { KubernetesPod } from './kubernetes-pod.js';

/** Hostname rules when nothing else is said. */
export const DEFAULT_HOSTNAME_RULES = 'label:HOSTNAME';

/** One part of a metadata expression. */
export type MetadataRule =
  /** The pod's label of that key. */
  | { readonly kind: 'label'; readonly key: string }
  /** The environment variable of that name, where a container of the pod's spec gives it a constant value. */
  | { readonly kind: 'env'; readonly name: string };

/** A value and the rule that gave it, in words. */
export interface ResolvedMetadata {
  readonly value: string;
  readonly reason: string;
}

export interface MetadataSubject {
  /** The pod's name. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The Kubernetes object; absent for a pod that is known by its containers' labels alone, which no `env:` rule fits. */
  readonly object?: KubernetesPod | undefined;
}

const standardAppLabels = ['app.kubernetes.io/name', 'app'] as const;

/**
 * Reads an expression such as `label:app,env:APP_NAME`; `k8slabel:` is another word for `label:`. The empty expression
 * has no rules. Throws `InvalidArgumentError` that shows the bad part.
 */
export function parseMetadataRules(expression: string): readonly MetadataRule[] {
  if (expression.trim() === '') return [];
  return expression.split(',').map((text) => {
    const part = text.trim();
    const colon = part.indexOf(':');
    const kind = part.slice(0, Math.max(0, colon));
    const key = part.slice(colon + 1);
    if (key !== '' && !key.includes(':')) {
      if (kind === 'label' || kind === 'k8slabel') return { kind: 'label', key };
      if (kind === 'env') return { kind: 'env', name: key };
    }
    throw new InvalidArgumentError(
      `'${part}' in the metadata rules '${expression}' is not 'label:<key>', 'k8slabel:<key>' or 'env:<NAME>'.`,
    );
  });
}

/**
 * The pod's app: the first rule with a non-empty value, else the labels `app.kubernetes.io/name` and `app`; undefined
 * when nothing names one. Default rules: none.
 */
export function resolveApp(pod: MetadataSubject, rules: readonly MetadataRule[] = []): ResolvedMetadata | undefined {
  const byRule = resolveByRules(pod, rules);
  if (byRule !== undefined) return byRule;
  for (const key of standardAppLabels) {
    const value = labelOf(pod, key);
    if (value !== undefined) return { value, reason: `standard label ${key}` };
  }
  return undefined;
}

/**
 * The pod's hostname: the first rule with a non-empty value, else the spec's hostname, else the pod's name.
 * Default rules: `label:HOSTNAME`.
 */
export function resolvePodHostname(
  pod: MetadataSubject,
  rules: readonly MetadataRule[] = parseMetadataRules(DEFAULT_HOSTNAME_RULES),
): ResolvedMetadata {
  const byRule = resolveByRules(pod, rules);
  if (byRule !== undefined) return byRule;
  const inSpec = pod.object?.spec?.hostname;
  if (inSpec !== undefined && inSpec !== '') return { value: inSpec, reason: "the spec's hostname" };
  return { value: pod.name, reason: "the pod's name" };
}

function resolveByRules(pod: MetadataSubject, rules: readonly MetadataRule[]): ResolvedMetadata | undefined {
  for (const rule of rules) {
    if (rule.kind === 'label') {
      const value = labelOf(pod, rule.key);
      if (value !== undefined) return { value, reason: `rule 'label:${rule.key}'` };
      continue;
    }
    for (const container of pod.object?.spec?.containers ?? []) {
      const value = container.env?.find(({ name }) => name === rule.name)?.value;
      if (value !== undefined && value !== '') {
        return { value, reason: `rule 'env:${rule.name}', container ${container.name}` };
      }
    }
  }
  return undefined;
}

function labelOf({ labels }: MetadataSubject, key: string): string | undefined {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  return value === '' ? undefined : value;
}
