/** Every command with its options and help. Nothing else is loaded before a command is chosen. */
import { Command, Option } from 'commander';
import type { CommandContext, OutputFormat, PodSourceName } from './command-context.js';
import { packageVersion } from './package-version.js';

/** The options that hold for all commands, as they were given. */
export interface GlobalFlags {
  readonly engine?: readonly string[];
  readonly enginePackage?: readonly string[];
  readonly containerdNamespace?: readonly string[];
  readonly config?: string;
  readonly hostRoot?: string;
  readonly pods?: PodSourceName;
  readonly kubeconfig?: string;
  readonly nodeName?: string;
  readonly showEnv?: boolean;
  readonly output?: OutputFormat;
  readonly color?: boolean;
}

/** Runs what a command does, and takes its exit code (none: 0). */
export type RunCommand = (
  flags: GlobalFlags,
  run: (context: CommandContext) => Promise<number> | Promise<void>,
  options?: { readonly exitCodeOf?: (error: unknown) => number },
) => Promise<void>;

export function createProgram(runCommand: RunCommand): Command {
  const program = new Command('crikit')
    .description('Pods and containers of this node at a glance.')
    .version(packageVersion, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .configureHelp({ sortSubcommands: false, sortOptions: false });
  addGlobalOptions(program);

  const command = (usage: string, description: string, notes = ''): Command => {
    const added = program.command(usage).description(description).helpOption('-h, --help', 'print help');
    if (notes !== '') added.addHelpText('after', notes);
    return added;
  };
  const flagsOf = (of: Command): GlobalFlags => {
    const outer: GlobalFlags = program.opts();
    const inner: GlobalFlags = of.opts();
    return { ...outer, ...inner, color: outer.color !== false && inner.color !== false };
  };

  command('engines', 'container engines: what is installed, what answers, and why not').action(
    async (_, self: Command) =>
      runCommand(flagsOf(self), async (context) => (await import('./commands/engines.js')).runEngines(context)),
  );

  command(
    'pods',
    'pods of this node',
    `
Examples:
  crikit pods
  crikit pods --namespace shop -o wide
  crikit pods -o json`,
  )
    .option('-n, --namespace <name>', 'only pods of this namespace')
    .option('-a, --all', 'pods that have finished too')
    .action(async (request: { namespace?: string; all?: boolean }, self: Command) =>
      runCommand(flagsOf(self), async (context) => (await import('./commands/pods.js')).runPods(context, request)),
    );

  command(
    'ps',
    'containers of this node',
    `
Shows what runs, without the sandboxes of pods; --all shows everything.

Examples:
  crikit ps
  crikit ps --role biz --namespace shop
  crikit ps --engine docker --all -o wide
  crikit ps --watch`,
  )
    .option('-a, --all', 'those that do not run, and sandboxes, too')
    .addOption(
      new Option('-r, --role <role>', 'only containers of this role').choices([
        'biz',
        'sidecar',
        'sandbox',
        'init',
        'ephemeral',
      ]),
    )
    .option('-n, --namespace <name>', 'only containers of pods of this namespace')
    .option('-w, --watch', 'go on showing changes until interrupted')
    .action(async (request: { all?: boolean; role?: string; namespace?: string; watch?: boolean }, self: Command) =>
      runCommand(flagsOf(self), async (context) => (await import('./commands/ps.js')).runPs(context, request)),
    );

  // Last, so that help shows a command's own options first.
  for (const each of program.commands) addGlobalOptions(each);
  return program;
}

function addGlobalOptions(command: Command): void {
  command
    .optionsGroup('Global options:')
    .addOption(
      new Option('-o, --output <format>', 'how to print (default: table)').choices([
        'table',
        'wide',
        'json',
        'yaml',
        'name',
      ]),
    )
    .option('--engine <type>', 'only this engine, such as docker; may be repeated', collect)
    .option('--engine-package <package>', 'an npm package that brings an engine; may be repeated', collect)
    .option('--containerd-namespace <name>', 'a namespace of containerd (default: k8s.io); may be repeated', collect)
    .addOption(
      new Option('--pods <source>', 'where pods come from (default: auto)').choices([
        'auto',
        'labels',
        'api-server',
        'kubelet',
        'kubeconfig',
      ]),
    )
    .option('--kubeconfig <path>', 'the kubeconfig for --pods kubeconfig')
    .option('--node-name <name>', 'the name of this node in Kubernetes (default: NODE_NAME)')
    .option('--host-root <path>', "where the host's root directory is seen (default: HOSTFS, else /)")
    .option('--show-env', 'print the values of environment variables, which are secrets mostly')
    .option('--config <path>', 'the configuration file')
    .option('--no-color', 'print without colours');
}

function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}
