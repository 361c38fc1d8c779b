import { isCommandNotFoundError, isPathNotFoundError } from '@crikit/core';
import type { Enricher, EnricherContext } from './enricher.js';
import { isOutOfReach } from './root-out-of-reach.js';

const maxBytes = 4_096;

/** For containers whose engine tells no hostname: the variable HOSTNAME, `/etc/hostname`, last the command `hostname`. */
export const hostnameEnricher: Enricher<'hostname'> = {
  name: 'hostname',
  timeoutMs: 10_000,
  appliesTo: ({ hostname }) => hostname === undefined,
  run: async (context) =>
    firstWord(context.container.env.HOSTNAME) ?? (await readHostname(context)) ?? (await askForHostname(context)),
};

async function readHostname({ openRoot }: EnricherContext): Promise<string | undefined> {
  try {
    const root = await openRoot();
    return firstWord((await root.readFile('/etc/hostname', { maxBytes })).toString());
  } catch (error) {
    if (isPathNotFoundError(error) || isOutOfReach(error)) return undefined;
    throw error;
  }
}

async function askForHostname({ exec }: EnricherContext): Promise<string | undefined> {
  try {
    const { exitCode, stdout } = await exec({ cmd: ['hostname'], maxOutputBytes: maxBytes });
    return exitCode === 0 ? firstWord(stdout.toString()) : undefined;
  } catch (error) {
    if (isCommandNotFoundError(error)) return undefined;
    throw error;
  }
}

function firstWord(text: string | undefined): string | undefined {
  return text
    ?.split('\n')
    .map((line) => line.trim())
    .find((line) => line !== '' && !line.startsWith('#'));
}
