import type { Readable } from 'node:stream';
import {
  type ArchiveFeature,
  type ContainerReference,
  isPathNotFoundError,
  isProtocolError,
  PathNotFoundError,
  UnsupportedError,
} from '@crikit/core';
import type { Daemon, DockerodeApi } from '@crikit/dockerode-api';
import { archiveObjection } from './convert-pouch-container.js';

/** Go's bit for a directory. */
const directoryBit = 0x80000000;

/** The archive routes, for who has allowed them. */
export function createPouchArchive(api: DockerodeApi, { engine }: Daemon): ArchiveFeature {
  // A caller who gives no more than an id has not seen what is withheld.
  const requireAllowed = async ({ id }: ContainerReference, signal: AbortSignal): Promise<void> => {
    const objection = archiveObjection(await api.inspectContainer(id, signal), true);
    if (objection !== undefined) throw new UnsupportedError(objection, { engine, applied: 'no' });
  };
  const notFound = (path: string, { id }: ContainerReference, what: string): PathNotFoundError =>
    new PathNotFoundError(`${path} is no ${what} in container ${id}.`, { engine, applied: 'no' });

  const getArchive = async (of: ContainerReference, path: string, signal: AbortSignal): Promise<Readable> => {
    try {
      return await api.getArchive(of.id, path, signal);
    } catch (error) {
      // Pouch's own message shows where on the node the container's files are.
      throw isPathNotFoundError(error) ? notFound(path, of, 'file or directory') : error;
    }
  };

  return {
    async getArchive(of, path, { signal }) {
      await requireAllowed(of, signal);
      return getArchive(of, path, signal);
    },

    async putArchive(of, directory, tar, { signal }) {
      try {
        await requireAllowed(of, signal);
        // A refused archive breaks the connection before the reason can be read, so the reason is looked for before.
        if (!(await isDirectory(of, directory, signal))) throw notFound(directory, of, 'directory');
        await api.putArchive(of.id, directory, tar, signal);
      } finally {
        tar.destroy();
      }
    },
  };

  async function isDirectory(of: ContainerReference, path: string, signal: AbortSignal): Promise<boolean> {
    try {
      const mode = await api.getArchiveMode(of.id, path, signal);
      return mode === undefined || mode >= directoryBit;
    } catch (error) {
      if (!isProtocolError(error)) throw error;
      // The reply to HEAD has no body, and status 500 means many things: GET says which.
      (await getArchive(of, path, signal)).destroy();
      return false;
    }
  }
}
