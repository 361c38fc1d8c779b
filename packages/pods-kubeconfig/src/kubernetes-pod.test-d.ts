/** Checked by the compiler alone: the client's pod is one of core's. */
import type { KubernetesPod } from '@crikit/core';
import type { V1Pod } from '@kubernetes/client-node';

type Fits<Value extends Expected, Expected> = Value;

export type ClientPodIsOurs = Fits<V1Pod, KubernetesPod>;
// @ts-expect-error what is not a pod does not fit, so that the line above proves something
export type NoPodIsNotOurs = Fits<{ metadata: { name: number } }, KubernetesPod>;
