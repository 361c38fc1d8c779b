/**
 * Pouch as it was recorded: PouchContainer 1.3.0 with its own CRI. What a recording holds is sent byte for byte, with
 * its framing, hijack and closing of connections. A request that was never recorded is refused, and fails the test when
 * the replay is closed.
 *
 * A recording is some files of one name: `.request`, `.head` and `.body` (the body was recorded without its chunks; it is
 * sent in one), or `.raw` with the very bytes of a stream, and `.inspect` with the exec's state after it. Paths of the
 * node were shortened in `info` and in what archives say of missing paths, and Content-Length with them.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = join(import.meta.dirname, 'recordings');

export interface PouchReplay extends AsyncDisposable {
  readonly socketPath: string;
  /** `GET /containers/json?all=1`, in the order of arrival and without the API's version. */
  readonly requests: readonly string[];
  /** What came on stdin after the upgrade, by recording. */
  readonly stdin: ReadonlyMap<string, string>;
  /** What came together with the start of an exec, which Pouch drops, by recording. */
  readonly dropped: ReadonlyMap<string, string>;
  /** Ends every open stream. */
  endStreams(): void;
}

export interface PouchReplayOptions {
  /**
   * Requests, with their body if they have one, that are answered by a recording of another one: `GET /events?…` →
   * `events-stream`. Said where a test
   * needs it, since it is more than was recorded.
   */
  readonly also?: Readonly<Record<string, string>>;
}

/** Serves these recordings. No two of them may answer the same request. */
export async function startPouchReplay(
  names: readonly string[],
  { also = {} }: PouchReplayOptions = {},
): Promise<PouchReplay> {
  const replies = new Map<string, Reply>();
  const add = (key: string, reply: Reply): void => {
    if (replies.has(key)) throw new Error(`two recordings answer ${key}`);
    replies.set(key, reply);
  };
  const execs = new Map<string, ExecRecording>();
  for (const name of names) {
    const exec = readExecRecording(name);
    if (exec === undefined) {
      add(requestKey(readRequest(name)), () => plainReply(name));
      continue;
    }
    execs.set(exec.id, exec);
    add(requestKey(exec.create), () => createReply(exec));
  }
  for (const [request, name] of Object.entries(also)) {
    const [, method = '', target = '', body = ''] = /^(\S+) (\S+)(?: (.*))?$/.exec(request) ?? [];
    const raw = join(folder, `${name}.raw`);
    add(
      requestKey({ method, target, body }),
      existsSync(raw) ? () => ({ bytes: readFileSync(raw), stays: true }) : () => plainReply(name),
    );
  }

  const directory = mkdtempSync(join(tmpdir(), 'crikit-replay-'));
  const socketPath = join(directory, 'pouchd.sock');
  const requests: string[] = [];
  const refused: string[] = [];
  const stdin = new Map<string, string>();
  const dropped = new Map<string, string>();
  const sockets = new Set<Socket>();
  const open = new Set<Socket>();
  const states = new Map<string, 'created' | 'running' | 'ended'>();

  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => {
      sockets.delete(socket);
      open.delete(socket);
    });
    let received = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      const request = parseRequest(received);
      if (request === undefined) return;
      socket.off('data', onData);
      answer(socket, request);
    };
    socket.on('data', onData);
  });

  const answer = (socket: Socket, request: Received): void => {
    requests.push(`${request.method} ${withoutVersion(request.target)}`);
    const [, execId, what] = /^\/exec\/([^/]+)\/(start|json)$/.exec(withoutVersion(request.target)) ?? [];
    const exec = execs.get(execId ?? '');
    if (exec !== undefined && what === 'json') {
      socket.end(inspectReply(exec, states.get(exec.id) ?? 'created'));
      return;
    }
    if (exec !== undefined) {
      const objection = objectToStart(exec, request);
      if (objection === undefined) startExec(socket, exec, request);
      else refuse(socket, request, objection);
      return;
    }
    const reply = replies.get(requestKey(request));
    if (reply === undefined) {
      refuse(socket, request, 'was never recorded');
      return;
    }
    const { bytes, stays } = reply();
    if (stays === true) {
      open.add(socket);
      socket.write(bytes);
      // Node's client tells its end by closing.
      socket.on('end', () => socket.end());
      socket.resume();
    } else {
      socket.end(bytes);
    }
  };

  const refuse = (socket: Socket, { method, target, body }: Received, why: string): void => {
    refused.push(`${method} ${target} ${body} ${why}`);
    socket.destroy();
  };

  const startExec = (socket: Socket, exec: ExecRecording, { rest }: Received): void => {
    if (rest.length > 0) dropped.set(exec.name, rest.toString());
    states.set(exec.id, 'running');
    open.add(socket);
    const end = (): void => {
      states.set(exec.id, 'ended');
      socket.end();
    };
    if (exec.stdin === undefined || exec.stdin.together) {
      socket.write(exec.raw);
      socket.on('end', () => socket.end());
      if (exec.ends && exec.stdin === undefined) end();
      else if (exec.ends) socket.on('end', end);
      socket.resume();
      return;
    }
    // What the command says comes only once it has got its input.
    socket.write(exec.raw.subarray(0, headEnd(exec.raw)));
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('end', () => {
      stdin.set(exec.name, Buffer.concat(chunks).toString());
      socket.write(exec.raw.subarray(headEnd(exec.raw)));
      end();
    });
  };

  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return {
    socketPath,
    requests,
    stdin,
    dropped,
    endStreams() {
      for (const socket of open) socket.end();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(directory, { recursive: true, force: true });
      if (refused.length > 0) throw new Error(`Pouch was asked what was never recorded:\n${refused.join('\n')}`);
    },
  };
}

/** The JSON body of a recording. */
export function readRecordedJson(name: string): unknown {
  return JSON.parse(readFileSync(join(folder, `${name}.body`), 'utf8'));
}

/** The full id of a recorded exec. */
export function recordedExecId(name: string): string {
  const exec = readExecRecording(name);
  if (exec === undefined) throw new Error(`${name} is no recording of an exec`);
  return exec.id;
}

type Reply = () => { readonly bytes: Buffer; readonly stays?: boolean };

interface Asked {
  readonly method: string;
  readonly target: string;
  readonly body: string;
}

interface Received extends Asked {
  readonly headers: ReadonlyMap<string, string>;
  /** What came after the request. */
  readonly rest: Buffer;
}

interface ExecRecording {
  readonly name: string;
  readonly id: string;
  readonly create: Asked;
  /** The body of the start. */
  readonly start: string;
  readonly raw: Buffer;
  /** The exec's state once the stream had ended, or was left. */
  readonly inspect: Buffer;
  readonly ends: boolean;
  readonly stdin: { readonly together: boolean } | undefined;
}

function readRequest(name: string): Asked {
  const text = readFileSync(join(folder, `${name}.request`), 'utf8');
  const [first = '', ...rest] = text.split('\n');
  const [method = '', target = ''] = first.trim().split(' ');
  return { method, target, body: rest.find((line) => line.startsWith('{')) ?? '' };
}

function readExecRecording(name: string): ExecRecording | undefined {
  const raw = join(folder, `${name}.raw`);
  if (!name.startsWith('exec-') || !existsSync(raw)) return undefined;
  const text = readFileSync(join(folder, `${name}.request`), 'latin1');
  const [, id] = /^POST \/exec\/([0-9a-f]{64})\/start/m.exec(text) ?? [];
  const [, start = ''] = /\r\n\r\n(\{.*\})\n/.exec(text) ?? [];
  const [, given, together] = /^\[stdin\] (None|b'.*') together=(True|False)/m.exec(text) ?? [];
  if (id === undefined) throw new Error(`${name} names no exec`);
  return {
    name,
    id,
    create: readRequest(name),
    start,
    raw: readFileSync(raw),
    inspect: readFileSync(join(folder, `${name}.inspect`)),
    ends: text.includes('[ended] eof'),
    stdin: given === undefined || given === 'None' ? undefined : { together: together === 'True' },
  };
}

function plainReply(name: string): { readonly bytes: Buffer } {
  const head = readFileSync(join(folder, `${name}.head`), 'latin1').trimEnd();
  const body = readFileSync(join(folder, `${name}.body`));
  const framed = /^Transfer-Encoding: chunked/im.test(head)
    ? Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n0\r\n\r\n')])
    : body;
  return { bytes: Buffer.concat([Buffer.from(`${head}\r\n\r\n`, 'latin1'), framed]) };
}

/** All creates were answered alike, but for the id. */
function createReply({ id }: ExecRecording): { readonly bytes: Buffer } {
  const { bytes } = plainReply('exec-create-detach');
  return { bytes: Buffer.from(bytes.toString('latin1').replace(/[0-9a-f]{64}/, id), 'latin1') };
}

function inspectReply({ inspect, ends }: ExecRecording, state: 'created' | 'running' | 'ended'): Buffer {
  const ended = inspect.toString();
  // As `exec-inspect-before` and `exec-inspect-detached-running` have it: code 0 until the end, whatever comes.
  const body =
    state === 'ended' || (state === 'running' && !ends)
      ? ended
      : ended
          .replace(/"ExitCode":\d+/, '"ExitCode":0')
          .replace(/"Running":(true|false)/, `"Running":${state === 'running'}`);
  const head = plainReply('exec-inspect-before').bytes.toString('latin1').split('\r\n\r\n')[0] ?? '';
  return Buffer.from(`${head.replace(/Content-Length: \d+/, `Content-Length: ${body.length}`)}\r\n\r\n${body}`);
}

function objectToStart(exec: ExecRecording, { method, body, headers }: Received): string | undefined {
  if (method !== 'POST') return 'was never recorded';
  if (headers.get('connection') !== 'Upgrade' || headers.get('upgrade') !== 'tcp') return 'asks for no upgrade';
  const same = JSON.stringify(sorted(JSON.parse(body))) === JSON.stringify(sorted(JSON.parse(exec.start)));
  return same ? undefined : `is not ${exec.start}`;
}

function sorted(value: object): object {
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
}

function parseRequest(bytes: Buffer): Received | undefined {
  const end = headEnd(bytes);
  if (end === 0) return undefined;
  const [first = '', ...lines] = bytes.subarray(0, end).toString('latin1').trimEnd().split('\r\n');
  const [method = '', target = ''] = first.split(' ');
  const headers = new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
    }),
  );
  if (headers.get('transfer-encoding') === 'chunked') {
    const [content, rest] = readChunks(bytes.subarray(end));
    return content === undefined ? undefined : { method, target, headers, body: content.toString('latin1'), rest };
  }
  const length = Number(headers.get('content-length') ?? 0);
  if (bytes.length < end + length) return undefined;
  const body = bytes.subarray(end, end + length).toString();
  return { method, target, headers, body, rest: bytes.subarray(end + length) };
}

function readChunks(bytes: Buffer): [Buffer | undefined, Buffer] {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = bytes.indexOf('\r\n', at);
    const length = line === -1 ? Number.NaN : Number.parseInt(bytes.subarray(at, line).toString(), 16);
    if (Number.isNaN(length) || bytes.length < line + 2 + length + 2) return [undefined, bytes];
    if (length === 0) return [Buffer.concat(chunks), bytes.subarray(line + 4)];
    chunks.push(bytes.subarray(line + 2, line + 2 + length));
    at = line + 2 + length + 2;
  }
}

function headEnd(bytes: Buffer): number {
  const blank = bytes.indexOf('\r\n\r\n');
  return blank === -1 ? 0 : blank + 4;
}

/** Pouch takes any version before a path, even nonsense, and none. */
function withoutVersion(target: string): string {
  return target.replace(/^\/v[^/]+(?=\/)/, '');
}

/** Equal for requests that Pouch does not tell apart. */
function requestKey({ method, target, body }: Asked): string {
  const url = new URL(withoutVersion(target), 'http://pouch');
  // The moment differs from run to run; that numbers were taken is recorded.
  if (url.pathname === '/events' && /^\d+$/.test(url.searchParams.get('since') ?? '')) url.searchParams.delete('since');
  url.searchParams.sort();
  const path = url.pathname.replace(/^\/containers\/([^/]+)(?=\/)/, (_, name: string) => `/containers/${idOf(name)}`);
  const isCreate = /^\/containers\/[^/]+\/exec$/.test(path);
  return `${method} ${path}?${url.searchParams} ${isCreate ? heeded(body) : ''}`;
}

/** What Pouch heeds in the body of an exec's create; it ignores AttachStdout, AttachStderr and WorkingDir. */
function heeded(body: string): string {
  const { Cmd, User = '', Tty = false, AttachStdin = false, Env = [] } = JSON.parse(body) as Record<string, unknown>;
  // Each command carries tags of its own. Without a user it was root in the recordings.
  const env = (Env as string[]).filter((line) => !/^(CRIKIT_EXEC_MARKER|_FROM|_TS)=/.test(line));
  return JSON.stringify({ Cmd, User: User === '0' ? '' : User, Tty, AttachStdin, env });
}

let ids: ReadonlyMap<string, string> | undefined;

/** Pouch takes names and ids alike. */
function idOf(name: string): string {
  ids ??= new Map(
    readdirSync(folder)
      .filter((file) => /^(cri-)?inspect-.*\.body$/.test(file))
      .map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as { Name?: string; Id?: string })
      .map(({ Name = '', Id = '' }) => [Name, Id] as const),
  );
  return ids.get(name) ?? name;
}
