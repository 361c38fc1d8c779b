/** Every command with its options and help. Nothing else is loaded before a command is chosen. */
import type { CopyMethod } from '@crikit/core';
import { Command, InvalidArgumentError as InvalidOptionError, Option } from 'commander';
import type { CommandContext, OutputFormat, PodSourceName } from './command-context.js';
import type { EventsRequest } from './commands/events.js';
import type { LogsRequest } from './commands/logs.js';
import { execExitCodeOf } from './exit-codes.js';
import { packageVersion } from './package-version.js';
import type { ServeRequest } from './serve/run-serve.js';

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

const targetHelp = `
TARGET is a container's id, a prefix of it (6 characters and more) or its name, NAMESPACE/POD, NAMESPACE/POD/CONTAINER,
the name of a pod, or the pid of a process in the container. A pod stands for its business container.`;

interface ExecFlags {
  readonly interactive?: boolean;
  readonly tty?: boolean;
  readonly user?: string;
  readonly workdir?: string;
  readonly env?: readonly string[];
  readonly timeout?: number;
}

interface CpFlags {
  readonly owner?: string;
  readonly method?: readonly CopyMethod[];
}

export function createProgram(runCommand: RunCommand): Command {
  const program = new Command('crikit')
    .description('Pods and containers of this node at a glance.')
    .version(packageVersion, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .configureHelp({ sortSubcommands: false, sortOptions: false });
  // They are taken here too, and shown where there is room: in the help of each command.
  addGlobalOptions(program, { hidden: true });
  program.addHelpText(
    'after',
    `
'crikit COMMAND --help' shows what a command takes. -o json, --engine docker and the like hold for all commands.
Guide: https://github.com/crikit/crikit/blob/main/docs/cli.md`,
  );

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

  command(
    'inspect <target>',
    'all that is known of a pod or container',
    `${targetHelp}

Examples:
  crikit inspect shop/web-0
  crikit inspect 4f5e6d7c8b9a -o json
  crikit inspect 4242`,
  ).action(async (target: string, _, self: Command) =>
    runCommand(flagsOf(self), async (context) =>
      (await import('./commands/inspect.js')).runInspect(context, { target }),
    ),
  );

  command(
    'exec <target> <command...>',
    "run a command in a container; the exit code is the command's",
    `${targetHelp}

Exit codes of crikit itself: 124 timed out, 125 could not be run, 126 no such user or directory, 127 no such command.

Examples:
  crikit exec shop/web-0 -- id -u
  crikit exec -it shop/web-0/main -- sh
  echo hello | crikit exec -i web-0 -- wc -c
  crikit exec --timeout 5 -e LANG=C 4f5e6d7c8b9a -- date`,
  )
    .passThroughOptions()
    .option('-i, --interactive', 'pass stdin on to the command')
    .option('-t, --tty', 'give the command a terminal')
    .option('-u, --user <user>', 'name, uid, uid:gid or name:group (default: root)')
    .option('-w, --workdir <path>', 'working directory in the container')
    .option(
      '-e, --env <name[=value]>',
      'a variable, without a value the one that it has here; may be repeated',
      collect,
    )
    .option('--timeout <seconds>', 'kill the command and its children after so long', parseSeconds)
    .action(async (target: string, words: readonly string[], flags: ExecFlags, self: Command) => {
      const { timeout, ...request } = flags;
      // What comes after TARGET is passed through, the sign that nothing more is an option included.
      const cmd = words[0] === '--' ? words.slice(1) : words;
      if (cmd.length === 0) self.error("error: missing required argument 'command'");
      await runCommand(
        flagsOf(self),
        async (context) => {
          const { runExec } = await import('./commands/exec.js');
          return runExec(context, {
            ...{ ...request, target, cmd },
            ...(timeout === undefined ? {} : { timeoutMs: timeout * 1_000 }),
          });
        },
        { exitCodeOf: execExitCodeOf },
      );
    });

  command(
    'cp <source> <destination>',
    'copy a file or directory into a container or out of it',
    `
One side is TARGET:/path. An existing directory as the destination takes the source under its own name.
${targetHelp}

Examples:
  crikit cp ./probe shop/web-0:/tmp/
  crikit cp shop/web-0/main:/var/log ./logs
  crikit cp --owner 1000:1000 site web-0:/srv/site`,
  )
    .option('--owner <uid:gid>', "owner of what is made in the container (default: the source's)")
    .addOption(
      new Option('--method <method>', 'only this way of copying; may be repeated')
        .choices(['host', 'engine', 'mount', 'tar', 'chunk'])
        .argParser(collectMethod),
    )
    .action(async (source: string, destination: string, flags: CpFlags, self: Command) => {
      const { owner, method } = flags;
      await runCommand(flagsOf(self), async (context) => {
        const { runCp } = await import('./commands/cp.js');
        await runCp(context, {
          ...{ source, destination },
          ...(owner === undefined ? {} : { owner }),
          ...(method === undefined ? {} : { methods: method }),
        });
      });
    });

  command('tz <target>', 'the time zone in which a container lives', targetHelp).action(
    async (target: string, _, self: Command) =>
      runCommand(flagsOf(self), async (context) => (await import('./commands/tz.js')).runTz(context, { target })),
  );

  command('processes <target>', 'processes of a container, as the host sees them', targetHelp).action(
    async (target: string, _, self: Command) =>
      runCommand(flagsOf(self), async (context) =>
        (await import('./commands/processes.js')).runProcesses(context, { target }),
      ),
  );

  command(
    'files <target> [path]',
    'list a directory of a container, without running anything in it',
    `${targetHelp}

Examples:
  crikit files shop/web-0 /etc
  crikit files web-0:/var/log -o json`,
  ).action(async (target: string, path: string | undefined, _, self: Command) =>
    runCommand(flagsOf(self), async (context) => {
      const { runFiles } = await import('./commands/files.js');
      await runFiles(context, { target, ...(path === undefined ? {} : { path }) });
    }),
  );

  command(
    'cat <file...>',
    'print files of containers, each given as TARGET:/path',
    `${targetHelp}

Example:
  crikit cat shop/web-0:/etc/os-release`,
  ).action(async (files: readonly string[], _, self: Command) =>
    runCommand(flagsOf(self), async (context) => (await import('./commands/cat.js')).runCat(context, { files })),
  );

  command(
    'logs <target>',
    'the log of a container, from its file on this node',
    `
Reads Docker's json-file and the format of Kubernetes, rotated files included. -o json prints one document a line.
${targetHelp}

Examples:
  crikit logs --tail 20 --follow shop/web-0
  crikit logs --since 10m --stderr web-0`,
  )
    .option('-f, --follow', 'go on with what is written from now on, until the container ends')
    .option('--tail <lines>', 'only the last lines', parseCount)
    .option('--since <time>', 'only lines from then on: 90s, 10m, 1h30m, 2d ago, or 2026-01-31T08:00:00Z')
    .option('-t, --timestamps', 'with the time of each line')
    .option('--stdout', 'only what was written to stdout')
    .option('--stderr', 'only what was written to stderr')
    .action(async (target: string, flags: Omit<LogsRequest, 'target'>, self: Command) =>
      runCommand(flagsOf(self), async (context) =>
        (await import('./commands/logs.js')).runLogs(context, { ...flags, target }),
      ),
    );

  command(
    'events',
    'changes of pods and containers, as they happen',
    `
-o json prints one document a line.

Examples:
  crikit events --namespace shop
  crikit events -o json`,
  )
    .option('-a, --all', 'tell first what there is')
    .option('-n, --namespace <name>', 'only of pods of this namespace')
    .action(async (request: EventsRequest, self: Command) =>
      runCommand(flagsOf(self), async (context) => (await import('./commands/events.js')).runEvents(context, request)),
    );

  command(
    'doctor',
    'why are my containers not seen? looks at engines, sockets, rights, Kubernetes, and says what to do',
    `
Exit code 0 when nothing has failed, warnings or not; 1 when something has.

Examples:
  crikit doctor
  crikit doctor --server http://127.0.0.1:9847 --token TOKEN -o json`,
  )
    .option('--server <url>', "a running 'crikit serve', whose own view is shown too")
    .option('--token <token>', 'the token that it printed when it started (default: CRIKIT_TOKEN)')
    .option('--timeout <seconds>', 'longest time for one check (default: 2)', parseSeconds)
    .action(async (flags: { server?: string; token?: string; timeout?: number }, self: Command) => {
      const { timeout, ...request } = flags;
      await runCommand(flagsOf(self), async (context) =>
        (await import('./doctor/run-doctor.js')).runDoctor(context, {
          ...request,
          ...(timeout === undefined ? {} : { timeoutMs: timeout * 1_000 }),
        }),
      );
    });

  command(
    'serve',
    'this node over HTTP, read-only: JSON, metrics, events and a page',
    `
Whoever asks needs the token, which is printed unless it was given. Ends with exit code 0 when it is interrupted.

Examples:
  crikit serve
  CRIKIT_TOKEN=… crikit serve --port 8080`,
  )
    .option('--port <number>', 'where to listen; 0: any that is free (default: 9847)', parsePort)
    .option('--host <address>', 'the address to listen on (default: 127.0.0.1)')
    .option('--token <token>', 'what whoever asks must know (default: CRIKIT_TOKEN, else a new one, which is printed)')
    .action(async (request: ServeRequest, self: Command) =>
      runCommand(flagsOf(self), async (context) =>
        (await import('./commands/serve.js')).runServeCommand(context, request),
      ),
    );

  command(
    'completion <shell>',
    'what makes a shell complete command lines of crikit: bash, zsh or fish',
    `
Examples:
  source <(crikit completion bash)
  crikit completion zsh > "\${fpath[1]}/_crikit"
  crikit completion fish > ~/.config/fish/completions/crikit.fish`,
  ).action(async (shell: string, _, self: Command) =>
    runCommand(flagsOf(self), async (context) =>
      (await import('./commands/completion.js')).runCompletion(context, { shell, program }),
    ),
  );

  // Last, so that help shows a command's own options first.
  for (const each of program.commands) addGlobalOptions(each);
  return program;
}

function addGlobalOptions(command: Command, { hidden = false } = {}): void {
  command.optionsGroup('Options for all commands:');
  for (const option of listGlobalOptions()) command.addOption(option.hideHelp(hidden));
}

function listGlobalOptions(): readonly Option[] {
  const list = (flags: string, description: string): Option => new Option(flags, description).argParser(collect);
  return [
    new Option('-o, --output <format>', 'how to print (default: table)').choices([
      ...(['table', 'wide', 'json', 'yaml', 'name'] satisfies OutputFormat[]),
    ]),
    list('--engine <type>', 'only this engine, such as docker; may be repeated'),
    list('--engine-package <package>', 'an npm package that brings an engine; may be repeated'),
    list('--containerd-namespace <name>', 'a namespace of containerd (default: k8s.io); may be repeated'),
    new Option('--pods <source>', 'where pods come from (default: auto)').choices([
      ...(['auto', 'labels', 'api-server', 'kubelet', 'kubeconfig'] satisfies PodSourceName[]),
    ]),
    new Option('--kubeconfig <path>', 'the kubeconfig for --pods kubeconfig'),
    new Option('--node-name <name>', 'the name of this node in Kubernetes (default: NODE_NAME)'),
    new Option('--host-root <path>', "where the host's root directory is seen (default: HOSTFS, else /)"),
    new Option('--show-env', 'print the values of environment variables, which are secrets mostly'),
    new Option('--config <path>', 'the configuration file'),
    new Option('--no-color', 'print without colours'),
  ];
}

function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}

function collectMethod(value: string, previous: readonly CopyMethod[] | undefined): readonly CopyMethod[] {
  const methods: readonly CopyMethod[] = ['host', 'engine', 'mount', 'tar', 'chunk'];
  const method = methods.find((known) => known === value);
  if (method === undefined) throw new InvalidOptionError(`Allowed choices are ${methods.join(', ')}.`);
  return [...(previous ?? []), method];
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0) || !Number.isFinite(seconds)) throw new InvalidOptionError('Give seconds, more than 0.');
  return seconds;
}

function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidOptionError('Give a number of lines.');
  return Number(text);
}

function parsePort(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new InvalidOptionError('Give a number from 0 to 65535.');
  return Number(text);
}
