import { InvalidArgumentError } from '@crikit/core';
import type { Command, Option } from 'commander';
import type { CommandContext } from '../command-context.js';

export interface CompletionRequest {
  readonly shell: string;
  readonly program: Command;
}

interface CompletedCommand {
  readonly name: string;
  readonly description: string;
  readonly options: readonly Option[];
  /** Whether its words name pods and containers. */
  readonly takesTarget: boolean;
}

/** Prints a script that makes a shell complete commands, options, their choices and the names of pods and containers. */
export async function runCompletion({ stdout }: CommandContext, { shell, program }: CompletionRequest): Promise<void> {
  const commands = program.commands.map(
    (command): CompletedCommand => ({
      name: command.name(),
      description: command.description(),
      options: command.options.filter(({ hidden }) => !hidden),
      takesTarget: /<(target|file|source)/.test(command.usage()),
    }),
  );
  const write = { bash: writeBash, zsh: writeZsh, fish: writeFish }[shell];
  if (write === undefined)
    throw new InvalidArgumentError(`There is no completion for '${shell}': give bash, zsh or fish.`);
  stdout.write(write(commands));
}

function flagsOf({ short, long }: Option): readonly string[] {
  return [short, long].flatMap((flag) => flag ?? []);
}

/** Options whose next word is their value. */
function valueFlags(options: readonly Option[]): readonly string[] {
  return options.filter(({ required }) => required).flatMap(flagsOf);
}

function uniqueOptions(commands: readonly CompletedCommand[]): readonly Option[] {
  return [...new Map(commands.flatMap(({ options }) => options).map((option) => [option.flags, option])).values()];
}

/** Options whose value is a path. */
const pathFlags: readonly string[] = ['--config', '--kubeconfig', '--host-root'];

function takesPath(option: Option): boolean {
  return flagsOf(option).some((flag) => pathFlags.includes(flag));
}

/** Names that TARGET takes; nothing when no engine answers. */
const listTargets = '{ crikit ps --all -o name; crikit pods -o name; } 2>/dev/null';

function writeBash(commands: readonly CompletedCommand[]): string {
  const choices = uniqueOptions(commands).filter(({ argChoices }) => argChoices !== undefined);
  const valued = [...new Set(valueFlags(uniqueOptions(commands)))];
  return `# bash completion of crikit: source <(crikit completion bash)
_crikit() {
  local word=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command= index
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    case \${COMP_WORDS[index]} in
      --) return ;;
      ${valued.join('|')}) ((index++)) ;;
      -*) ;;
      *) command=\${COMP_WORDS[index]}; break ;;
    esac
  done
  case $previous in
${choices.map((option) => `    ${flagsOf(option).join('|')}) COMPREPLY=($(compgen -W '${option.argChoices?.join(' ')}' -- "$word")); return ;;`).join('\n')}
    ${pathFlags.join('|')}) COMPREPLY=($(compgen -f -- "$word")); return ;;
    ${valued.filter((flag) => !pathFlags.includes(flag) && !choices.some((option) => flagsOf(option).includes(flag))).join('|')}) return ;;
  esac
  if [[ -z $command ]]; then
    COMPREPLY=($(compgen -W '${commands.map(({ name }) => name).join(' ')} help' -- "$word"))
    return
  fi
  if [[ $word == -* ]]; then
    case $command in
${commands.map(({ name, options }) => `      ${name}) COMPREPLY=($(compgen -W '${options.flatMap(flagsOf).join(' ')} --help' -- "$word")) ;;`).join('\n')}
    esac
    return
  fi
  case $command in
    ${commands.flatMap(({ name, takesTarget }) => (takesTarget ? name : [])).join('|')}) COMPREPLY=($(compgen -W "$(${listTargets})" -- "$word")) ;;
    completion) COMPREPLY=($(compgen -W 'bash zsh fish' -- "$word")) ;;
    help) COMPREPLY=($(compgen -W '${commands.map(({ name }) => name).join(' ')}' -- "$word")) ;;
  esac
  if [[ $command == cp ]]; then COMPREPLY+=($(compgen -f -- "$word")); fi
}
complete -F _crikit crikit
`;
}

function writeZsh(commands: readonly CompletedCommand[]): string {
  const quote = (text: string): string => text.replaceAll("'", "'\\''");
  const escapeText = (text: string): string => quote(text).replace(/[[\]:]/g, (character) => `\\${character}`);
  const describe = (option: Option): readonly string[] =>
    flagsOf(option).map((flag) => {
      const choices = option.argChoices === undefined ? ' ' : `(${option.argChoices.join(' ')})`;
      const values = takesPath(option) ? '_files' : choices;
      return `'*${flag}[${escapeText(option.description)}]${option.required ? `:value:${values}` : ''}'`;
    });
  return `#compdef crikit
# zsh completion of crikit: crikit completion zsh > "\${fpath[1]}/_crikit"
_crikit_targets() {
  local -a targets
  targets=(\${(f)"$(${listTargets})"})
  compadd -a targets
}
_crikit_sides() {
  _crikit_targets
  _files
}
_crikit() {
  local -a commands
  commands=(
${commands.map(({ name, description }) => `    '${name}:${quote(description)}'`).join('\n')}
  )
  local curcontext="$curcontext" state line
  _arguments -C '1: :->command' '*:: :->rest'
  case $state in
    command) _describe command commands ;;
    rest)
      case $words[1] in
${commands
  .map(
    ({ name, options, takesTarget }) =>
      `        ${name}) _arguments ${options.flatMap(describe).join(' ')} ${
        takesTarget
          ? `'*:target:_crikit_${name === 'cp' ? 'sides' : 'targets'}'`
          : name === 'completion'
            ? "'1:shell:(bash zsh fish)'"
            : ''
      } ;;`,
  )
  .join('\n')}
      esac ;;
  esac
}
if [[ $funcstack[1] == _crikit ]]; then _crikit "$@"; else compdef _crikit crikit; fi
`;
}

function writeFish(commands: readonly CompletedCommand[]): string {
  const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = commands.flatMap(({ name, description, options, takesTarget }) => [
    `complete -c crikit -n __fish_use_subcommand -a ${name} -d ${quote(description)}`,
    ...options.map((option) => {
      const flags = flagsOf(option).map((flag) =>
        flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
      );
      const choices = option.argChoices === undefined ? ' -x' : ` -x -a '${option.argChoices.join(' ')}'`;
      const values = takesPath(option) ? ' -r -F' : choices;
      return `complete -c crikit -n '__fish_seen_subcommand_from ${name}' ${flags.join(' ')}${option.required ? values : ''} -d ${quote(option.description)}`;
    }),
    ...(name === 'cp' ? [`complete -c crikit -n '__fish_seen_subcommand_from cp' -F`] : []),
    ...(takesTarget ? [`complete -c crikit -n '__fish_seen_subcommand_from ${name}' -a '(__crikit_targets)'`] : []),
  ]);
  return `# fish completion of crikit: crikit completion fish > ~/.config/fish/completions/crikit.fish
function __crikit_targets
  crikit ps --all -o name 2>/dev/null
  crikit pods -o name 2>/dev/null
end
complete -c crikit -f
${lines.join('\n')}
complete -c crikit -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'
`;
}
