import { styleText } from 'node:util';
import type { CommandContext } from '../command-context.js';
import { escapeControlCharacters } from '../output/escape-control-characters.js';
import type { DoctorReport, Finding, Severity } from './doctor-report.js';

type Report = Pick<CommandContext, 'stdout' | 'options'>;

/** Prints a report in the format that is asked for. */
export async function writeReport({ stdout, options }: Report, report: DoctorReport): Promise<void> {
  switch (options.output) {
    case 'json':
      stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
      return;
    case 'yaml': {
      const { stringify } = await import('yaml');
      stdout.write(stringify(report, { lineWidth: 0 }));
      return;
    }
    case 'name':
      for (const { id, severity } of report.findings) if (severity !== 'ok') stdout.write(`${id}\n`);
      return;
    case 'table':
    case 'wide': {
      const width = stdout.isTTY && stdout.columns > 0 ? stdout.columns : undefined;
      stdout.write(formatReport(report, { color: options.color, ...(width === undefined ? {} : { width }) }));
    }
  }
}

export interface FormatOptions {
  readonly color: boolean;
  /** Of the terminal; absent where lines may be as long as they want. */
  readonly width?: number;
}

/** For people: the verdict, the agent's own view, then each finding with what to do about it. */
export function formatReport(report: DoctorReport, options: FormatOptions): string {
  const { agent, findings, verdict, severity } = report;
  const lines = [...block(0, mark(severity), verdict, severity, options), ''];
  if (agent !== undefined) {
    lines.push(`The agent at ${escapeControlCharacters(agent.url)}:`);
    if (agent.diagnosis === undefined) lines.push('  It did not tell; see below.');
    else {
      const { diagnosis } = agent;
      lines.push(...block(2, mark(diagnosis.severity), diagnosis.verdict, diagnosis.severity, options));
      for (const finding of diagnosis.findings) lines.push(...formatFinding(4, finding, options));
    }
    lines.push('', 'Seen from here:');
  }
  for (const finding of findings) lines.push(...formatFinding(2, finding, options));
  return `${lines.join('\n')}\n`;
}

const styles = { ok: 'green', warning: 'yellow', failure: 'red' } as const;
const wordWidth = 'warning'.length;

function mark(severity: Severity): string {
  return severity.padEnd(wordWidth);
}

interface Shown extends Omit<Finding, 'id'> {
  readonly id: string;
}

function formatFinding(
  indent: number,
  { id, severity, subject, message, remedy }: Shown,
  options: FormatOptions,
): string[] {
  const about = subject === undefined || message.includes(subject) ? '' : `${subject}: `;
  const lines = block(indent, mark(severity), `${id}  ${about}${message}`, severity, options);
  if (remedy !== undefined && severity !== 'ok')
    lines.push(...block(indent + wordWidth + 1, '→', remedy, undefined, options));
  return lines;
}

/** A mark, then text that is broken beside it where the terminal ends. */
function block(
  indent: number,
  label: string,
  text: string,
  severity: Severity | undefined,
  { color, width }: FormatOptions,
): string[] {
  const painted =
    color && severity !== undefined ? styleText(styles[severity], label, { validateStream: false }) : label;
  const hanging = indent + label.length + 1;
  const [first = '', ...rest] = wrap(escapeControlCharacters(text), width === undefined ? undefined : width - hanging);
  return [`${' '.repeat(indent)}${painted} ${first}`, ...rest.map((line) => `${' '.repeat(hanging)}${line}`)];
}

const narrowest = 20;

function wrap(text: string, width: number | undefined): string[] {
  if (width === undefined || width < narrowest) return [text];
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
