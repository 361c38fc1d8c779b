import type { KubernetesPod } from '@crikit/core';

const mirrorAnnotation = 'kubernetes.io/config.mirror';
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * The uid by which a pod is known: `metadata.uid`, and for a static pod its config hash, which is what its containers
 * carry. The kubelet gives the hash as uid already; the API server shows a mirror pod with a uid of its own. Undefined
 * for an object without uid.
 */
export function podIdentity(pod: Pick<KubernetesPod, 'metadata'>): string | undefined {
  const { metadata } = pod;
  const hash = metadata?.annotations?.[mirrorAnnotation];
  // Whoever may create pods may write annotations: one must not pose as a pod that the API server named.
  if (typeof hash === 'string' && hash !== '' && !uuid.test(hash)) return hash;
  return typeof metadata?.uid === 'string' && metadata.uid !== '' ? metadata.uid : undefined;
}
