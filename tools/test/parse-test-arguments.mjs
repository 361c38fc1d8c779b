// @ts-check

/** What takes minutes; runs only when it is named. */
const longParts = /** @type {const} */ (['long', 'matrix']);

/** In the order in which they run. */
export const parts = /** @type {const} */ ([
  'lint',
  'types',
  'unit',
  'lab',
  'integration',
  'packaging',
  'examples',
  ...longParts,
]);

/** @typedef {(typeof parts)[number]} Part */

/**
 * Reads `[part…] [path filter…]`. Without a part: all of them but the long ones, or with filters those that take a filter.
 *
 * @param {readonly string[]} commandArguments
 * @returns {{ selected: ReadonlySet<Part>, filters: readonly string[] }}
 */
export function parseTestArguments(commandArguments) {
  const firstFilter = commandArguments.findIndex((argument) => !isPart(argument));
  const names = firstFilter === -1 ? commandArguments : commandArguments.slice(0, firstFilter);
  const filters = firstFilter === -1 ? [] : commandArguments.slice(firstFilter);
  for (const filter of filters) {
    if (filter.startsWith('-'))
      throw new Error(`unknown option ${filter}: give parts (${parts.join(', ')}), then paths`);
  }
  const named = names.filter(isPart);
  const withoutName =
    filters.length > 0
      ? /** @type {const} */ (['unit', 'integration', 'packaging'])
      : parts.filter((part) => !longParts.some((long) => long === part));
  return { selected: new Set(named.length > 0 ? named : withoutName), filters };
}

/**
 * @param {string} argument
 * @returns {argument is Part}
 */
function isPart(argument) {
  return parts.some((part) => part === argument);
}
