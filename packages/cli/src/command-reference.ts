/** The page `docs/cli-reference.md`, made of what the command says of itself. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { createProgram } from './create-program.js';
import { execExitCodes, exitCodes } from './exit-codes.js';

const globalHeading = 'Options for all commands:';
const packages = join(import.meta.dirname, '..', '..');

const meanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  ok: 'done',
  failed: 'failed for a reason that none of those below tells; `doctor` found a failure',
  usage: 'the command line or the configuration file is wrong; nothing was done',
  notFound: 'there is no such container, pod or file',
  ambiguous: 'TARGET fits several; they are listed on stderr',
  noEngine: 'no engine can be used, or it is away',
  notPermitted: 'the system or the engine does not permit it',
  notRunning: 'the container does not run, or is paused',
  unsupported: 'it cannot be done with this container or engine',
  timeout: 'the time was up',
};

const execMeanings: Readonly<Record<keyof typeof execExitCodes, string>> = {
  timeout: '`--timeout` was up; the command and its children were killed',
  failed: 'crikit could not run the command: no such container, no engine, …',
  cannotRun: 'there is no such user or working directory in the container',
  commandNotFound: 'there is no such command in the container',
};

/** The documents of `-o json`: what the items of each are, where that is declared, and what it refers to. */
const documents: readonly {
  kind: string;
  by: string;
  shape: string;
  names: readonly (readonly [file: string, name: string])[];
}[] = [
  {
    kind: 'engines',
    by: 'engines',
    shape: 'items: EngineDocument[]',
    names: [
      ['cli/src/commands/engines.ts', 'EngineDocument'],
      ['core/src/engine-contract.ts', 'ProbeAttempt'],
    ],
  },
  {
    kind: 'containers',
    by: 'ps',
    shape: 'items: ContainerDocument[]',
    names: [['cli/src/output/describe-container.ts', 'ContainerDocument']],
  },
  {
    kind: 'pods',
    by: 'pods',
    shape: 'items: PodDocument[]',
    names: [
      ['cli/src/output/describe-pod.ts', 'PodDocument'],
      ['core/src/pod.ts', 'PodDiagnostic'],
    ],
  },
  {
    kind: 'container',
    by: 'inspect',
    shape: 'item: InspectedContainer',
    names: [
      ['cli/src/commands/inspect.ts', 'InspectedContainer'],
      ['cli/src/output/describe-container.ts', 'ContainerDetailDocument'],
      ['core/src/container.ts', 'MountPoint'],
    ],
  },
  {
    kind: 'pod',
    by: 'inspect',
    shape: 'item: PodDetailDocument',
    names: [['cli/src/output/describe-pod.ts', 'PodDetailDocument']],
  },
  { kind: 'copy', by: 'cp', shape: 'item: CopyDocument', names: [['cli/src/commands/cp.ts', 'CopyDocument']] },
  {
    kind: 'timeZone',
    by: 'tz',
    shape: 'item: TimeZoneDocument',
    names: [['cli/src/commands/tz.ts', 'TimeZoneDocument']],
  },
  {
    kind: 'processes',
    by: 'processes',
    shape: 'items: ProcessDocument[]',
    names: [['cli/src/commands/processes.ts', 'ProcessDocument']],
  },
  {
    kind: 'files',
    by: 'files',
    shape: 'items: FileDocument[]',
    names: [['cli/src/commands/files.ts', 'FileDocument']],
  },
  {
    kind: 'log',
    by: 'logs',
    shape: 'one a line, with the members of LogDocument',
    names: [['cli/src/commands/logs.ts', 'LogDocument']],
  },
  {
    kind: 'event',
    by: 'events',
    shape: 'one a line, with the members of EventDocument',
    names: [['cli/src/commands/events.ts', 'EventDocument']],
  },
];

export function makeCommandReference(): string {
  const program = createProgram(async () => {});
  const pages = program.commands.filter((command) => command.name() !== 'help');
  return `${[
    '# Reference of the command',
    'Made from the program itself; a test sees to it that it stays so. [The command `crikit`](cli.md) is the guide.',
    '## Options for all commands',
    'They may stand before or after the name of the command. `crikit COMMAND --help` prints what follows here.',
    code('text', optionsOf(program)),
    ...pages.flatMap((command) => [`## crikit ${command.name()}`, code('text', helpOf(command))]),
    '## Exit codes',
    'They are part of the contract.',
    table(
      ['code', 'says'],
      [
        ...Object.entries(meanings).map(([name, text]) => [`${exitCodes[name as keyof typeof exitCodes]}`, text]),
        ['129, 130, 143', 'ended by SIGHUP, SIGINT (Ctrl-C) or SIGTERM; `serve` ends with 0'],
        ['141', 'nobody reads stdout any more'],
      ],
    ),
    'The exit code of `exec` is the command’s. What is not is told as shells do:',
    table(
      ['code', 'says'],
      [
        [`${exitCodes.usage}`, 'the command line cannot be read; nothing was run'],
        ...Object.entries(execMeanings).map(([name, text]) => [
          `${execExitCodes[name as keyof typeof execExitCodes]}`,
          text,
        ]),
      ],
    ),
    '## JSON',
    `\`-o json\` prints one document, \`-o yaml\` the same data in YAML. \`schemaVersion\` is raised when a member goes or changes
its meaning; members may be added without it, so ignore those that you do not know. What is not known is absent. Values of
environment variables are \`***\` without \`--show-env\`.`,
    code(
      'ts',
      `interface Document {\n  schemaVersion: 1;\n  kind: string; // see below\n  // and, by kind, 'items', 'item', or the members themselves\n}`,
    ),
    table(
      ['command', '`kind`', 'holds'],
      documents.map(({ by, kind, shape }) => [
        `\`${by}\``,
        `\`${kind}\``,
        shape.includes(': ') ? `\`${shape}\`` : shape,
      ]),
    ),
    '`logs` and `events` print one document a line, as does `ps --watch`. `doctor` and `serve` have documents of their own; see their pages.',
    ...documents.flatMap(({ names }) => names.map(([file, name]) => code('ts', declarationOf(file, name)))),
  ].join('\n\n')}\n`;
}

function helpOf(command: Command): string {
  const whole = command.configureOutput({ getOutHelpWidth: () => 100, getOutHasColors: () => false }).helpInformation();
  const [before = '', after = ''] = splitGroup(whole, globalHeading);
  const notes: string[] = [];
  command.configureOutput({ writeOut: (text) => notes.push(text) }).outputHelp();
  return `${before.trimEnd()}\n${after}${notes.join('').slice(whole.length)}`.replace(/\n{3,}/g, '\n\n').trim();
}

/** What is before a group of a help text, and what is after it. */
function splitGroup(help: string, heading: string): readonly [string, string] {
  const start = help.indexOf(heading);
  if (start === -1) return [help, ''];
  const end = help.indexOf('\n\n', start);
  return [help.slice(0, start), end === -1 ? '' : help.slice(end)];
}

function optionsOf(program: Command): string {
  const [command] = program.commands;
  const help = command?.configureOutput({ getOutHelpWidth: () => 100 }).helpInformation() ?? '';
  const start = help.indexOf(globalHeading);
  return help.slice(start, help.indexOf('\n\n', start)).trimEnd();
}

function declarationOf(file: string, name: string): string {
  const text = readFileSync(join(packages, file), 'utf8');
  const [found] =
    new RegExp(`(?:^/\\*\\*(?:(?!\\*/)[\\s\\S])*\\*/\\n)?^export interface ${name} [\\s\\S]*?^}$`, 'm').exec(text) ??
    [];
  if (found === undefined) throw new Error(`${file} declares no interface ${name}`);
  return found.replace('export interface', 'interface').replaceAll('readonly ', '');
}

function code(language: string, text: string): string {
  return `\`\`\`${language}\n${text}\n\`\`\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
