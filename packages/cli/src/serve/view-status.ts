import type { LocalAgentMeta, MetaStore, MetaStoreStatus } from '@crikit/metastore';

/** How far the store can be relied on, and who answers. */
export interface StatusView extends MetaStoreStatus {
  /** This machine's clock at the answer, in milliseconds since 1970. */
  readonly nowMs: number;
  readonly agent: Omit<LocalAgentMeta, 'node' | 'isLocalPod'>;
}

export function viewStatus(store: MetaStore, nowMs: number): StatusView {
  const { node, isLocalPod, ...agent } = store.localAgentMeta();
  return { nowMs, agent, ...store.status() };
}
