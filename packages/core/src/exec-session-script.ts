/** What a session's shell runs, and the lines that it is sent. */
import { quotePrintfFormat, quoteShellArgument } from './quote-shell-argument.js';

/** For the agent that is gone without having closed anything: the shell's own limit is a little longer than the agent's. */
const limitMarginSeconds = 15;

/** A line is read byte by byte; beyond this an exec of its own is as quick. */
const maxLineBytes = 32 * 1024;
/** Far less than a pipe holds, so that what writes it never waits for the command. */
export const MAX_INLINE_INPUT_BYTES = 4 * 1024;

/**
 * Commands are read one a line. Each runs in a process of its own; the line's marks, which the command never sees, are
 * written before it, when it has ended (with the exit code) and when nobody holds its descriptor 9 any more: whoever was
 * left in the background could write into the next command's output.
 *
 * A fork costs as much as all the rest. So the shell keeps the reading end of one pipe, that of a here-document, and the
 * command's process opens its writing end through /proc; reading then ends when nobody has it. Shells that make files
 * of here-documents (mksh, bash before 5.1) need another process for a pipe to each command.
 *
 * Words used are those of busybox ash, dash, bash and mksh; what differs:
 * - bash leaves out the EXIT trap when `exec` fails, unless it may go on after that, and always for what is no program
 * - dash's `read` knows no time limit, so a second process looks whether the shell has done nothing for that long
 * - each says on stderr how a child was killed, hence descriptors 7 and 8 for the session's own streams
 */
const sessionScript = [
  '[ -z "$BASH_VERSION" ] || shopt -s execfail',
  "crikit_newline='",
  "'",
  'exec 7>&1 8>&2 >/dev/null 2>&1',
  'crikit_start() {',
  '  if [ -n "$1" ]; then cd -- "$1" 2>/dev/null || { echo workdir >&9; exit 126; }; fi',
  '  crikit_count=$2',
  '  shift 2',
  '  while [ "$crikit_count" -gt 0 ]; do export "$1"; shift; crikit_count=$((crikit_count - 1)); done 2>/dev/null',
  "  trap 'echo command >&9' EXIT",
  '  case $1 in */*) [ -f "$1" ] && [ -x "$1" ] || exit 127 ;; esac',
  '  exec "$@"',
  '}',
  'crikit_run() {',
  '  crikit_mark=$2 crikit_why=',
  '  echo "$1" >&7',
  '  shift 2',
  '  if [ -n "$crikit_input" ]; then',
  '    crikit_why=$(',
  '      printf "$crikit_input" 7>&- 8>&- | ( crikit_start "$@" ) 9>&1 >&7 2>&8 5<&- 7>&- 8>&-',
  '      echo "$crikit_mark:$?" >&7',
  '    )',
  '  elif [ -n "$crikit_pipe" ]; then',
  '    ( crikit_start "$@" ) 9>/proc/self/fd/5 >&7 2>&8 5<&- 7>&- 8>&- </dev/null',
  '    echo "$crikit_mark:$?" >&7',
  '    while read -r crikit_line <&5; do crikit_why=$crikit_line; done',
  '  else',
  '    crikit_why=$(',
  '      ( crikit_start "$@" ) 9>&1 >&7 2>&8 7>&- 8>&- </dev/null',
  '      echo "$crikit_mark:$?" >&7',
  '    )',
  '  fi',
  '  case $crikit_why in workdir|command) ;; *) crikit_why= ;; esac',
  '  crikit_input=',
  '  echo "$crikit_mark:$crikit_why" >&7; echo "$crikit_mark:" >&8',
  '}',
  'crikit_watch() {',
  '  command -v sleep || return',
  `  trap 'kill "$crikit_sleep"; wait; exit' TERM`,
  '  while read -r crikit_before </proc/$$/stat; do',
  '    sleep "$1" & crikit_sleep=$!',
  '    wait "$crikit_sleep" || exit',
  '    read -r crikit_after </proc/$$/stat || exit',
  '    crikit_children=',
  '    read -r crikit_children </proc/$$/task/$$/children',
  '    [ -n "$crikit_children" ] || exit',
  '    set -- "$1" $crikit_children',
  '    [ "$crikit_before" != "$crikit_after" ] || [ "$#" -ne 2 ] || { kill -9 $$; exit; }',
  '  done',
  '}',
  'crikit_input= crikit_limit= crikit_watcher= crikit_pipe=',
  // Tried in a child, for a here-document that cannot be made ends some shells.
  'if ( [ -p /proc/self/fd/5 ] && : 9>/proc/self/fd/5 ) 5<<crikit',
  '',
  'crikit',
  'then',
  '  crikit_pipe=yes',
  '  exec 5<<crikit',
  '',
  'crikit',
  '  read -r crikit_line <&5',
  'fi',
  '( read -r -t1 crikit_line </dev/null )',
  'if [ "$?" -eq 1 ]; then crikit_limit=-t$1',
  'else crikit_watch "$1" </dev/null 5<&- 7>&- 8>&- & crikit_watcher=$!; fi',
  'while IFS= read -r $crikit_limit crikit_line; do eval "$crikit_line"; done',
  '[ -z "$crikit_watcher" ] || { kill "$crikit_watcher"; wait; }',
].join('\n');

/** The command that a session is. */
export function sessionCommand(idleTimeoutMs: number): string[] {
  const limitSeconds = Math.ceil(idleTimeoutMs / 1000) + limitMarginSeconds;
  return ['sh', '-c', sessionScript, 'sh', String(limitSeconds)];
}

/** What asks a shell whether it understands: it answers with the mark on both streams. */
export function greetingLine(mark: string): string {
  return `echo ${mark} >&7; echo ${mark} >&8\n`;
}

export interface SessionLine {
  readonly beginMark: string;
  readonly endMark: string;
  readonly cmd: readonly string[];
  /** `NAME=value` */
  readonly env: readonly string[];
  readonly workingDir: string | undefined;
  readonly input: Uint8Array | undefined;
}

/** Undefined when a command cannot travel in a line, and wants an exec of its own. */
export function commandLine(line: SessionLine): string | undefined {
  if (!line.env.every((variable) => shellPassesOn(variable))) return undefined;
  const words = [line.workingDir ?? '', String(line.env.length), ...line.env, ...line.cmd];
  const quoted = words.map((word) => quoteShellArgument(word, 'crikit_newline'));
  const input =
    line.input === undefined || line.input.length === 0 ? '' : `crikit_input=${quotePrintfFormat(line.input)}; `;
  const text = `${input}crikit_run ${line.beginMark} ${line.endMark} ${quoted.join(' ')}\n`;
  return Buffer.byteLength(text) > maxLineBytes ? undefined : text;
}

// Variables that shells keep for themselves: what is assigned to them is refused, changed, or not handed on.
const ownVariable =
  /^(BASH.*|COMP_.*|DIRSTACK|EPOCH.*|EUID|FUNCNAME|GROUPS|HISTCMD|IFS|KSH.*|LINENO|OLDPWD|OPT(ARG|ERR|IND)|PIPESTATUS|PPID|PWD|RANDOM|SECONDS|SHELLOPTS|SHLVL|SRANDOM|UID|_|crikit_.*)$/;

function shellPassesOn(variable: string): boolean {
  const name = variable.slice(0, variable.indexOf('='));
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !ownVariable.test(name);
}
