import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** What a package may weigh at most. A kilobyte is 1,000 bytes. */
export interface SizeBudget {
  /** The tarball. */
  readonly packedKilobytes: number;
  /** What is in it. */
  readonly unpackedKilobytes: number;
  readonly files: number;
  /** Packages in a project that has it, core and the meta store, or for a command all that it needs. */
  readonly installedPackages: number;
  /** The `node_modules` of that project. */
  readonly installedMegabytes: number;
}

const file = 'tools/packaging/size-budget.json';

// A budget far above the size neither records it nor bites.
const widest = 1.5;

/** Compares a size with the budget of the package: `within its budget`, or what is wrong and what to do. */
export function budgetOf(name: string, what: keyof SizeBudget, size: number): string {
  const budgets = JSON.parse(readFileSync(join(import.meta.dirname, 'size-budget.json'), 'utf8')) as Readonly<
    Record<string, Partial<SizeBudget> | undefined>
  >;
  return compareWithBudget(name, what, size, budgets[name]?.[what]);
}

export function compareWithBudget(
  name: string,
  what: keyof SizeBudget,
  size: number,
  budget: number | undefined,
): string {
  const measured = `${what} of ${name} is ${Number(size.toFixed(1))}`;
  if (budget === undefined) return `${measured} and has no budget: set one in ${file}, a little above`;
  if (size > budget) {
    return `${measured}, more than its budget of ${budget}: make it smaller, or raise the budget in ${file} and say in the commit what it is for`;
  }
  // A few files, packages or megabytes more or less are not worth a change.
  if (budget > size * widest && budget - size > 4) {
    return `${measured}, far below its budget of ${budget}: lower it in ${file}`;
  }
  return 'within its budget';
}

/** Bytes of all files in a folder, at any depth. Links count nothing. */
export function folderBytes(folder: string): number {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}
