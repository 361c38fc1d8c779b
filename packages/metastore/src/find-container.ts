import { AmbiguousContainerError, type Container, type ContainerEngine } from '@crikit/core';
import type { Snapshot } from './snapshot.js';

/** Shorter prefixes of ids find nothing: they would fit something by accident. */
export const minIdPrefixLength = 6;
const shortIdLength = 12;

/** Throws `AmbiguousContainerError` when the id fits several containers. */
export function findContainerByCid(
  snapshot: Snapshot,
  asked: string,
  engines: () => readonly ContainerEngine[],
): Container | undefined {
  const direct = snapshot.containersById.get(asked);
  if (direct !== undefined) return direct;
  const schemeEnd = asked.indexOf('://');
  const scheme = schemeEnd === -1 ? undefined : asked.slice(0, schemeEnd);
  const id = schemeEnd === -1 ? asked : asked.slice(schemeEnd + 3);
  const found = listKeys(snapshot, id)
    .map((key) => snapshot.containersByKey.get(key) as Container)
    .filter((container) => scheme === undefined || speaksScheme(container, scheme, engines()));
  if (found.length > 1) {
    throw new AmbiguousContainerError(
      asked,
      found.map(({ engineId, scope, id }) => (scope === '' ? `${engineId} ${id}` : `${engineId} ${scope}/${id}`)),
    );
  }
  return found[0];
}

function listKeys({ keysById, keysByShortId }: Snapshot, id: string): readonly string[] {
  const exact = keysById.get(id);
  if (exact !== undefined) return exact;
  if (id.length === shortIdLength) return keysByShortId.get(id) ?? [];
  if (id.length < minIdPrefixLength) return [];
  return [...keysById].flatMap(([full, keys]) => (full.startsWith(id) ? keys : []));
}

function speaksScheme(container: Container, scheme: string, engines: readonly ContainerEngine[]): boolean {
  const engine = engines.find(({ id }) => id === container.engineId);
  return engine?.containerIdSchemes.includes(scheme) === true;
}
