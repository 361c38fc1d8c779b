import { hostname } from 'node:os';
import type { LocalAgentMeta, MetaStore, MetaStoreStatus } from '@crikit/metastore';

/** How far the store can be relied on, and who answers. */
export interface StatusView extends MetaStoreStatus {
  /** This machine's clock at the answer, in milliseconds since 1970. */
  readonly nowMs: number;
  /** The name of this machine, or of the pod that the agent runs in. */
  readonly hostname: string;
  readonly agent: Omit<LocalAgentMeta, 'node' | 'isLocalPod'>;
}

export function viewStatus(store: MetaStore, nowMs: number): StatusView {
  const { node, isLocalPod, ...agent } = store.localAgentMeta();
  return { nowMs, hostname: hostname(), agent, ...store.status() };
}
