import { isCrikitError, isNoEngineError } from '@crikit/core';

/** Says on stderr what failed and what to do next; a stack only when `CRIKIT_DEBUG` is set. */
export function reportError(
  error: unknown,
  { stderr, environment }: { readonly stderr: NodeJS.WritableStream; readonly environment: NodeJS.ProcessEnv },
): void {
  const message = error instanceof Error ? error.message : String(error);
  stderr.write(`crikit: ${message}\n`);
  if (isNoEngineError(error)) {
    stderr.write(
      'Start an engine, or name its socket by DOCKER_HOST, CONTAINERD_ADDRESS, CONTAINER_HOST (Podman) or POUCH_SOCK; ' +
        "'crikit doctor' looks closer.\n",
    );
  }
  if (environment.CRIKIT_DEBUG) stderr.write(`${error instanceof Error ? error.stack : ''}\n`);
  else if (!isExplained(error)) stderr.write('crikit: set CRIKIT_DEBUG=1 to see where it happened.\n');
}

/** Errors of crikit and of the system say what happened; others are nobody's intention. */
function isExplained(error: unknown): boolean {
  return isCrikitError(error) || (error instanceof Error && 'syscall' in error);
}
