import { InvalidArgumentError } from '@crikit/core';

export interface ContainerPathArgument {
  readonly target: string;
  /** Absolute. */
  readonly path: string;
}

/**
 * `TARGET:/path`; undefined for a path of this machine: what begins with `/`, `./` or `../`, and what has no colon. Throws
 * `InvalidArgumentError` for a path in a container that is not absolute.
 */
export function parseContainerPath(text: string): ContainerPathArgument | undefined {
  if (/^\.{0,2}\//.test(text)) return undefined;
  const match = /^((?:[a-z][a-z0-9+.-]*:\/\/)?[^:]+):(.*)$/s.exec(text);
  const [, target, path] = match ?? [];
  if (target === undefined || path === undefined) return undefined;
  if (!path.startsWith('/')) {
    throw new InvalidArgumentError(
      `'${text}': a path in a container must be absolute, as in ${target}:/${path}; write ./${text} for a file of this machine.`,
    );
  }
  return { target, path };
}

/** As `parseContainerPath`, for what must be in a container. */
export function requireContainerPath(text: string): ContainerPathArgument {
  const parsed = parseContainerPath(text);
  if (parsed !== undefined) return parsed;
  throw new InvalidArgumentError(`'${text}' must name a path in a container: TARGET:/path.`);
}
