import type { KubernetesMarks } from '@crikit/core';
import { readKubernetesMarks } from '@crikit/dockerode-api';

const annotation = {
  type: 'io.kubernetes.cri.container-type',
  sandboxId: 'io.kubernetes.cri.sandbox-id',
} as const;

/**
 * The pod of a container, from its name and labels and, where it was inspected, from what Pouch's CRI has noted in its
 * specification. An image can bring labels; it cannot bring annotations, so they come first.
 */
export function readPouchMarks(
  name: string,
  labels: Readonly<Record<string, string>>,
  trustLabels: boolean,
  annotations: Readonly<Record<string, string>> = {},
): KubernetesMarks | undefined {
  const { [annotation.type]: type, [annotation.sandboxId]: sandboxId = '' } = annotations;
  const marks = readKubernetesMarks(name, labels, {
    trustLabels,
    sandboxLabel: ['io.kubernetes.pouch.type', 'sandbox'],
    kind: type === 'sandbox' || type === 'container' ? type : undefined,
  });
  return marks?.kind === 'container' && sandboxId !== '' ? { ...marks, sandboxId } : marks;
}
