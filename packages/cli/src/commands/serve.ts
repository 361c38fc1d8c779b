import type { CommandContext } from '../command-context.js';
import { withStore } from '../open-store.js';
import { runServe, type ServeRequest } from '../serve/run-serve.js';

/** Serves this node over HTTP until the signal aborts. Without an engine it goes on looking for one. */
export async function runServeCommand(context: CommandContext, request: ServeRequest): Promise<void> {
  await withStore(context, (store) => runServe(context, store, request), { forLong: true, requireEngine: false });
}
