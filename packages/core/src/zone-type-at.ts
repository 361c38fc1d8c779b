import type { ZoneTable, ZoneType } from './tz-info.js';
import { ruleTypeAt } from './zone-rule.js';

/** What a zone says about an instant in Unix seconds. */
export function typeAt(table: ZoneTable, seconds: number): ZoneType {
  const { types, transitions, transitionTypes, rule } = table;
  const initial = types[0] as ZoneType;
  if (transitions.length === 0) return rule === undefined ? initial : ruleTypeAt(rule, seconds);
  if (rule !== undefined && seconds >= (transitions.at(-1) as number)) return ruleTypeAt(rule, seconds);
  let low = 0;
  let high = transitions.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((transitions[middle] as number) <= seconds) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? initial : (types[transitionTypes[low - 1] as number] as ZoneType);
}
