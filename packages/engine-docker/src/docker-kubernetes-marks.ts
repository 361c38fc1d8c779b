import type { KubernetesMarks } from '@crikit/core';
import { readKubernetesMarks } from '@crikit/dockerode-api';

/** The pod of a container, from its name and labels. */
export function readDockerMarks(
  name: string,
  labels: Readonly<Record<string, string>>,
  trustLabels: boolean,
): KubernetesMarks | undefined {
  return readKubernetesMarks(name, labels, { trustLabels, sandboxLabel: ['io.kubernetes.docker.type', 'podsandbox'] });
}
