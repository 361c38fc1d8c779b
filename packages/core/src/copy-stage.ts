/** A directory beside the target, that only this user may enter, in which a copy into a container is put together. */
import { closeSync, fstatSync, mkdirSync } from 'node:fs';
import { openInert, reachName } from './anchored-walk.js';
import { requireOwn } from './copy-tree.js';
import { CopyFailedError } from './errors/copy-failed-error.js';
import { markFinal } from './final-copy-errors.js';
import type { MountGuard, MountPlace } from './mount-guard.js';
import { randomHex } from './random-hex.js';
import { removeAnchoredTree } from './remove-anchored-tree.js';

export interface StageParent {
  readonly fd: number;
  readonly place: MountPlace;
  /** For messages. */
  readonly path: string;
}

export interface Stage {
  /** The caller closes it. */
  readonly fd: number;
  readonly name: Buffer;
  readonly place: MountPlace;
  readonly guard: MountGuard;
  readonly parent: StageParent;
}

export function makeStage(guard: MountGuard, parent: StageParent): Stage {
  const name = Buffer.from(`.crikit-${randomHex(16)}`);
  mkdirSync(reachName(parent.fd, name), 0o700);
  const fd = openInert(parent.fd, name);
  try {
    const place = guard.placeOf(fd, parent.place, Buffer.from(parent.path).toString('latin1'));
    requireOwn(fstatSync(fd), place, parent.place);
    return { fd, name, place, guard, parent };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Removes it with all that is in it. When that fails, the error names what is left; `cause` is why it is removed. */
export async function removeStage({ guard, name, parent }: Stage, where: string, cause?: unknown): Promise<void> {
  try {
    await removeAnchoredTree(parent.fd, name, parent.place, guard);
  } catch (error) {
    // With the container its files went.
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return;
    throw markFinal(
      new CopyFailedError(
        `'${parent.path}/${name}' in ${where} was for a copy and could not be removed: ${(error as Error).message}.`,
        { applied: 'unknown', remedy: 'Remove it by hand.', cause: cause ?? error },
      ),
    );
  }
}
