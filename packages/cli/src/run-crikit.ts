import { isAbsolute } from 'node:path';
import { InvalidArgumentError } from '@crikit/core';
import { CommanderError } from 'commander';
import type { CommandContext, GlobalOptions } from './command-context.js';
import { createProgram, type GlobalFlags } from './create-program.js';
import { InterruptedError } from './errors/interrupted-error.js';
import { exitCodeOf as exitCodeOfAny, exitCodes } from './exit-codes.js';
import { reportError } from './report-error.js';

/** What a run of the command has of the process around it. */
export interface CrikitRun extends Pick<CommandContext, 'stdin' | 'stdout' | 'stderr' | 'environment' | 'signal'> {
  /** Without the names of the interpreter and of the program. */
  readonly arguments: readonly string[];
}

/** Runs one command to its end and gives the exit code. Never rejects: what fails is told on stderr. */
export async function runCrikit(run: CrikitRun): Promise<number> {
  const { stdout, stderr, environment, signal } = run;
  let exitCode: number = exitCodes.ok;
  const program = createProgram(async (flags, command, { exitCodeOf = exitCodeOfAny } = {}) => {
    try {
      exitCode = (await command(await createContext(run, flags))) ?? exitCodes.ok;
    } catch (error) {
      exitCode = exitCodeOf(error);
      // What was asked to end has nothing to say about how it ended.
      if (signal.aborted || error instanceof InterruptedError) exitCode = exitCodeOfAny(signal.reason ?? error);
      else reportError(error, { stderr, environment });
    }
  });
  for (const each of [program, ...program.commands]) {
    each.exitOverride().configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
      outputError: (text, write) =>
        write(`crikit: ${text.replace(/^error: /, '')}Run '${nameOf(each)} --help' to see what it takes.\n`),
      getOutHelpWidth: () => (stdout.isTTY ? stdout.columns : 100),
      getErrHelpWidth: () => (stderr.isTTY ? stderr.columns : 100),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  }
  try {
    if (run.arguments.length === 0) program.outputHelp();
    else await program.parseAsync([...run.arguments], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    reportError(error, { stderr, environment });
    return exitCodes.failed;
  }
  return exitCode;
}

async function createContext(run: CrikitRun, flags: GlobalFlags): Promise<CommandContext> {
  const { stdin, stdout, stderr, environment, signal } = run;
  const { readConfiguration } = await import('./read-configuration.js');
  const configuration = readConfiguration(flags.config, process.cwd(), (path) => {
    stderr.write(`crikit: warning: ${path} is left alone, because another user may write it; name it by --config\n`);
  });
  const { containerdNamespaces = [], kubeconfig = configuration.kubeconfig } = { ...configuration, ...flags };
  const namespaces = flags.containerdNamespace ?? splitList(environment.CONTAINERD_NAMESPACE) ?? containerdNamespaces;
  const nodeName = flags.nodeName ?? configuration.nodeName ?? environment.NODE_NAME;
  const hostRoot = flags.hostRoot ?? (environment.HOSTFS || (configuration.hostRoot ?? '/'));
  if (!isAbsolute(hostRoot)) {
    throw new InvalidArgumentError(`The host root '${hostRoot}' must be an absolute path, such as /hostfs.`);
  }
  const options: GlobalOptions = {
    engine: flags.engine ?? configuration.engines ?? [],
    enginePackage: [...(configuration.enginePackages ?? []), ...(flags.enginePackage ?? [])],
    containerdNamespace: namespaces,
    hostRoot,
    pods: flags.pods ?? configuration.pods ?? 'auto',
    showEnv: flags.showEnv ?? false,
    output: flags.output ?? 'table',
    color: flags.color !== false && stdout.isTTY === true && !environment.NO_COLOR,
    ...(flags.config === undefined ? {} : { config: flags.config }),
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(nodeName ? { nodeName } : {}),
  };
  return { stdin, stdout, stderr, environment, signal, options, configuration };
}

function splitList(text: string | undefined): readonly string[] | undefined {
  const items = (text ?? '').split(',').flatMap((item) => (item.trim() === '' ? [] : [item.trim()]));
  return items.length === 0 ? undefined : items;
}

function nameOf(command: { name(): string }): string {
  return command.name() === 'crikit' ? 'crikit' : `crikit ${command.name()}`;
}
