import { type Container, InvalidArgumentError, UnsupportedError } from '@crikit/core';
import type { MetaStore } from '@crikit/metastore';
import type { CommandContext } from '../command-context.js';
import type { LogEntry, LogStream } from '../logs/log-entry.js';
import { readLog } from '../logs/read-log.js';
import { withStore } from '../open-store.js';
import { schemaVersion } from '../output/write-list.js';
import { parseInstant } from '../parse-instant.js';
import { resolveContainer } from '../resolve-target.js';
import { writeFully } from '../write-fully.js';

export interface LogsRequest {
  readonly target: string;
  readonly follow?: boolean;
  readonly tail?: number;
  readonly since?: string;
  readonly timestamps?: boolean;
  /** With one of the two only that stream. Default: both. */
  readonly stdout?: boolean;
  readonly stderr?: boolean;
}

/** A line in the JSON of `logs`. */
export interface LogDocument {
  /** ISO 8601, as precise as the log has it. */
  readonly time: string;
  readonly stream: 'stdout' | 'stderr';
  /** Without the line end; bytes that are no UTF-8 are replaced. */
  readonly text: string;
  /** False for what the container ended without a line end, and for a line of more than 1 MiB, which comes in pieces. */
  readonly endsLine: boolean;
}

/** Prints a container's log: its stdout to stdout, its stderr to stderr; with `-o json` both as one document a line. */
export async function runLogs(context: CommandContext, request: LogsRequest): Promise<void> {
  if (context.options.output === 'yaml' || context.options.output === 'name') {
    throw new InvalidArgumentError(
      `logs prints text or, with -o json, a document a line; not ${context.options.output}.`,
    );
  }
  const { signal, stderr } = context;
  const streams = chooseStreams(request);
  const sinceMs = request.since === undefined ? undefined : parseInstant(request.since, Date.now());
  await withStore(
    context,
    async (store) => {
      const container = resolveContainer(store, request.target);
      const unreadable = new Set<string>();
      const entries = readLog(requireLogPath(container), {
        signal,
        follow: request.follow ?? false,
        isOver: () => !isGoingOn(store, container),
        onUnreadable: (path) => {
          if (!unreadable.has(path)) stderr.write(`crikit: warning: ${path} has lines in no known format; left out\n`);
          unreadable.add(path);
        },
        ...(streams === undefined ? {} : { streams }),
        ...(request.tail === undefined ? {} : { tail: request.tail }),
        ...(sinceMs === undefined ? {} : { sinceMs }),
      });
      const write = context.options.output === 'json' ? writeJson : writeText;
      for await (const entry of entries) await write(context, entry, request.timestamps ?? false);
    },
    { trackFinishedPods: true },
  );
}

function chooseStreams({ stdout = false, stderr = false }: LogsRequest): ReadonlySet<LogStream> | undefined {
  if (stdout === stderr) return undefined;
  return new Set<LogStream>([stdout ? 'stdout' : 'stderr']);
}

function requireLogPath({ logPath, shortId, engineType, podUid }: Container): string {
  if (logPath !== undefined) return logPath;
  const remedies: Readonly<Record<string, string>> = {
    docker: "Docker's log driver json-file keeps one; for the others ask 'docker logs'.",
    podman: "Podman's log driver k8s-file keeps one; for journald ask 'podman logs'.",
    containerd: podUid === undefined ? 'containerd keeps logs of the pods of Kubernetes only.' : '',
  };
  throw new UnsupportedError(`Container ${shortId} has no log file on this node.`, {
    applied: 'no',
    remedy: remedies[engineType] ?? 'Ask its engine for the log.',
  });
}

function isGoingOn(store: MetaStore, { engineId, id }: Container): boolean {
  const now = store.getAllContainers({ withoutPod: true }).find((each) => each.id === id && each.engineId === engineId);
  return now !== undefined && !['exited', 'dead'].includes(now.state.status);
}

async function writeText(context: CommandContext, entry: LogEntry, timestamps: boolean): Promise<void> {
  const { time, stream, text, endsLine } = entry;
  const line = Buffer.concat([
    ...(timestamps ? [Buffer.from(`${time} `)] : []),
    text,
    ...(endsLine ? [Buffer.from('\n')] : []),
  ]);
  await writeFully(context[stream], line, context.signal);
}

async function writeJson(context: CommandContext, { time, stream, text, endsLine }: LogEntry): Promise<void> {
  const document: LogDocument = { time, stream, text: text.toString('utf8'), endsLine };
  await writeFully(context.stdout, `${JSON.stringify({ schemaVersion, kind: 'log', ...document })}\n`, context.signal);
}
