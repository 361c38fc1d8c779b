import { PodSourceError } from './errors/pod-source-error.js';

/** Throws `PodSourceError` of code `UNSUPPORTED` for what cannot be a node's name, and would be a selector of its own. */
export function requireNodeName(nodeName: string): void {
  if (/^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/i.test(nodeName)) return;
  throw new PodSourceError('UNSUPPORTED', `'${nodeName.slice(0, 100)}' is not the name of a node.`, {
    remedy: 'Set NODE_NAME by the downward API (fieldPath: spec.nodeName), or the option nodeName.',
  });
}
