import type { LogPart, LogStream } from './log-entry.js';

const brace = 0x7b;
const space = 0x20;

/**
 * A line of a container's log file: Docker's json-file, or the format of the Kubernetes CRI, which Podman writes too.
 * Undefined for what is neither.
 */
export function parseLogLine(line: Buffer): LogPart | undefined {
  return line[0] === brace ? parseJsonLine(line) : parseCriLine(line);
}

function parseJsonLine(line: Buffer): LogPart | undefined {
  let content: { log?: unknown; stream?: unknown; time?: unknown };
  try {
    content = JSON.parse(line.toString('utf8'));
  } catch {
    return undefined;
  }
  const { log, stream = 'stdout', time } = content;
  if (typeof log !== 'string' || typeof time !== 'string' || !isStream(stream)) return undefined;
  // Docker cuts lines longer than 16 KiB; all but the last piece have no line end.
  const isPartial = !log.endsWith('\n');
  return { time, stream, text: Buffer.from(isPartial ? log : log.slice(0, -1)), isPartial };
}

function parseCriLine(line: Buffer): LogPart | undefined {
  const timeEnd = line.indexOf(space);
  const streamEnd = line.indexOf(space, timeEnd + 1);
  if (timeEnd === -1 || streamEnd === -1) return undefined;
  const found = line.indexOf(space, streamEnd + 1);
  const tagsEnd = found === -1 ? line.length : found;
  const time = line.toString('latin1', 0, timeEnd);
  const stream = line.toString('latin1', timeEnd + 1, streamEnd);
  const tags = line.toString('latin1', streamEnd + 1, tagsEnd).split(':');
  if (!/^\d{4}-\d{2}-\d{2}T/.test(time) || !isStream(stream) || !tags.some((tag) => tag === 'F' || tag === 'P')) {
    return undefined;
  }
  return { time, stream, text: line.subarray(tagsEnd + 1), isPartial: tags.includes('P') };
}

function isStream(value: unknown): value is LogStream {
  return value === 'stdout' || value === 'stderr';
}
