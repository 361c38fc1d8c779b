/**
 * A real Docker daemon that speaks as Pouch was seen to speak: what Pouch leaves out is left out, what it says in other
 * words is said in those. So the engine meets Pouch's dialect with containers that really run.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

type Json = Record<string, unknown>;

export interface PouchDialectProxy extends AsyncDisposable {
  readonly socketPath: string;
}

/** Listens on `pouchd.sock` in `directory`, which must not exist and goes with the proxy. */
export async function startPouchDialectProxy(dockerSocketPath: string, directory: string): Promise<PouchDialectProxy> {
  mkdirSync(directory, { mode: 0o700 });
  const socketPath = join(directory, 'pouchd.sock');
  const sockets = new Set<Socket>();
  /** By exec: whether its command could not be started. */
  const failed = new Map<string, Promise<boolean>>();

  const ask = (method: string, path: string, body?: string | IncomingMessage, headers: object = {}) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const call = request({ socketPath: dockerSocketPath, method, path, agent: false, headers: { ...headers } });
      call.on('response', resolve).on('error', reject);
      if (typeof body === 'object') body.pipe(call);
      else call.end(body);
    });
  const askJson = async (method: string, path: string, body?: string): Promise<{ status: number; json: unknown }> => {
    const headers = body === undefined ? {} : { 'Content-Type': 'application/json' };
    const reply = await ask(method, path, body, headers);
    const text = await readAll(reply);
    return { status: reply.statusCode ?? 0, json: text === '' ? undefined : JSON.parse(text) };
  };
  const inspectExec = async (id: string): Promise<Json | undefined> => {
    const { status, json } = await askJson('GET', `/exec/${id}/json`);
    return status === 200 ? (json as Json) : undefined;
  };

  const answer = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '' } = incoming;
    const url = new URL((incoming.url ?? '').replace(/^\/v[^/]+(?=\/)/, ''), 'http://pouch');
    const [, kind, id = '', what = ''] = /^\/(containers|exec)\/([^/]+)\/(\w+)$/.exec(url.pathname) ?? [];
    if (method === 'GET' && url.pathname === '/version') return reply(response, 200, recordedBody('version'));
    if (method === 'GET' && url.pathname === '/info') return reply(response, 200, recordedBody('info'));
    if (method === 'GET' && url.pathname === '/containers/json') {
      const { json } = await askJson('GET', '/containers/json?all=1');
      return reply(response, 200, (json as Json[]).map(convertItem));
    }
    if (method === 'GET' && url.pathname === '/events') return events(url, incoming, response);
    if (kind === 'containers' && method === 'GET' && what === 'json') {
      const { status, json } = await askJson('GET', `/containers/${id}/json`);
      return status === 200
        ? reply(response, 200, convertContainer(json as Json))
        : reply(response, 404, { message: `container ${id}: not found` });
    }
    if (kind === 'containers' && method === 'POST' && what === 'exec') return createExec(id, incoming, response);
    if (kind === 'containers' && what === 'archive') return archive(id, url, incoming, response);
    if (kind === 'exec' && method === 'GET' && what === 'json') {
      const state = await inspectExec(id);
      if (state === undefined) return reply(response, 404, { message: `exec process ${id}: not found` });
      const { Running, ExitCode } = state;
      const exitCode = (await failed.get(id)) === true ? 126 : ((ExitCode as number | null) ?? 0);
      return reply(response, 200, { ID: id, Running, ExitCode: exitCode });
    }
    if (kind === 'exec' && method === 'POST' && what === 'resize') {
      const { status, json } = await askJson('POST', `/exec/${id}/resize${url.search}`);
      return reply(response, status < 400 ? 200 : 500, json);
    }
    reply(response, 404, { message: 'page not found' });
  };

  const createExec = async (id: string, incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { WorkingDir: _ignored, ...body } = JSON.parse(await readAll(incoming)) as Json;
    // Docker takes keys out of a terminal's input.
    const DetachKeys = 'ctrl-@,ctrl-_,ctrl-@,ctrl-_,ctrl-@,ctrl-_';
    const { status, json } = await askJson('POST', `/containers/${id}/exec`, JSON.stringify({ ...body, DetachKeys }));
    if (status === 201) return reply(response, 201, json);
    if (status === 404) return reply(response, 404, { message: `container ${id}: not found` });
    reply(response, 500, { message: `container ${id} is not running` });
  };

  const archive = async (id: string, url: URL, incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = `/containers/${id}/archive${url.search}`;
    const { method = '' } = incoming;
    const headers = method === 'PUT' ? { 'Content-Type': 'application/x-tar', 'Transfer-Encoding': 'chunked' } : {};
    const served = await ask(method, path, method === 'PUT' ? incoming : undefined, headers);
    const { statusCode: status = 0 } = served;
    if (status >= 400 && method !== 'HEAD') {
      const said = await readAll(served);
      const isMissing = /could not find the file/i.test(said);
      const at = '/var/lib/pouch/containerd/state/io.containerd.runtime.v1.linux/default';
      const message = isMissing
        ? `lstat ${at}/${id}/rootfs${url.searchParams.get('path')}: no such file or directory`
        : `container ${id}: not found`;
      return reply(response, isMissing ? 500 : 404, { message });
    }
    const stat = served.headers['x-docker-container-path-stat'];
    response.writeHead(
      status >= 400 ? 500 : status,
      stat === undefined ? {} : { 'X-Docker-Container-Path-Stat': stat },
    );
    served.pipe(response);
  };

  const events = async (url: URL, incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const filters = JSON.parse(url.searchParams.get('filters') ?? '{}') as Json;
    const since = url.searchParams.get('since') ?? '';
    const isMap = Object.values(filters).every((value) => !Array.isArray(value));
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.flushHeaders();
    if (!isMap || !/^\d*$/.test(since)) {
      response.end(`${JSON.stringify({ message: 'invalid filter' })}\n`);
      return;
    }
    const query = new URLSearchParams({ filters: JSON.stringify({ type: ['container'] }), ...(since && { since }) });
    const source = await ask('GET', `/events?${query}`);
    sockets.add(source.socket);
    incoming.socket.once('close', () => source.destroy());
    source.on('error', () => response.destroy());
    for await (const line of createInterface({ input: source })) {
      const { Action, Actor, time, timeNano } = JSON.parse(line) as Json;
      const text = JSON.stringify({ action: Action, actor: Actor, time, timeNano, type: 'container' });
      response.write(`${text}\n`);
    }
    response.end();
  };

  const startExec = async (incoming: IncomingMessage, client: Socket, head: Buffer): Promise<void> => {
    const id = /\/exec\/([^/]+)\/start$/.exec(incoming.url ?? '')?.[1] ?? '';
    const length = Number(incoming.headers['content-length'] ?? 0);
    let received = head;
    while (received.length < length) received = Buffer.concat([received, await nextChunk(client)]);
    // What comes together with the start is dropped.
    const body = received.subarray(0, length).toString();
    const { Tty: tty } = JSON.parse(body) as { Tty?: boolean };
    const daemon = connect({ path: dockerSocketPath, allowHalfOpen: true });
    sockets.add(daemon);
    daemon.on('error', () => client.destroy());
    client.on('error', () => daemon.destroy());
    client.once('close', () => daemon.destroy());
    daemon.write(
      `POST /exec/${id}/start HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nConnection: Upgrade\r\n` +
        `Upgrade: tcp\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    let beginning = Buffer.alloc(0);
    while (beginning.indexOf('\r\n\r\n') === -1) beginning = Buffer.concat([beginning, await nextChunk(daemon)]);
    const start = beginning.indexOf('\r\n\r\n') + 4;
    if (!beginning.toString('latin1').startsWith('HTTP/1.1 101')) {
      const answered = JSON.stringify({ message: `container ${id} is not running` });
      client.end(
        `HTTP/1.1 500 Error\r\nContent-Type: application/json\r\nContent-Length: ${answered.length}\r\n\r\n${answered}`,
      );
      daemon.destroy();
      return;
    }
    client.write(
      'HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n',
    );
    let tell = (_failed: boolean): void => {};
    const whether = new Promise<boolean>((resolve) => {
      tell = resolve;
    });
    client.pipe(daemon);
    let first: Buffer = beginning.subarray(start);
    if (first.length === 0) first = await nextChunk(daemon).catch(() => Buffer.alloc(0));
    const said = first.subarray(tty === true ? 0 : 8).toString();
    if (said.endsWith('\r\n')) failed.set(id, whether);
    const couldNotStart = said.endsWith('\r\n') && (await hasNoProcess(id));
    tell(couldNotStart);
    const told = couldNotStart ? renamed(said, id, tty === true) : first;
    if (told.length > 0) client.write(told);
    daemon.pipe(client);
  };

  /** After a start failure Docker's exec has ended without ever having had a pid. */
  const hasNoProcess = async (id: string): Promise<boolean> => {
    for (;;) {
      const state = await inspectExec(id);
      if (state === undefined || (state.Pid as number) > 0) return false;
      if (state.Running === false && state.ExitCode !== null) return true;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  const server = createServer((incoming, response) => {
    answer(incoming, response).catch((error: Error) => response.destroy(error));
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (incoming, socket: Socket, head: Buffer) => {
    socket.allowHalfOpen = true;
    startExec(incoming, socket, head).catch(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return {
    socketPath,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  const text = typeof body === 'string' ? body : body === undefined ? '' : `${JSON.stringify(body)}\n`;
  response.writeHead(status, { 'Content-Type': 'application/json', Connection: 'close' });
  response.end(text);
}

/** A start failure in Pouch's words; of users it speaks as Docker does. */
function renamed(said: string, id: string, tty: boolean): Buffer {
  const text = /^unable to find /.test(said) ? said : `failed to start exec, exec id ${id}: ${said}`;
  if (tty) return Buffer.from(text);
  const header = Buffer.alloc(8);
  header[0] = 1;
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

function convertItem({ State: _none, Ports: _neither, Names, Status, ...item }: Json): Json {
  const status = String(Status)
    .replace(/ \(Paused\)$/, '(paused)')
    .replace(/ ago$/, '')
    .replace(/^Created$/, 'created');
  return { ...item, Names: (Names as string[]).map((name) => name.replace(/^\//, '')), Status: status };
}

function convertContainer({ Name, Mounts, GraphDriver, State, ...rest }: Json): Json {
  const state = State as Json;
  const isOver = state.Pid === 0;
  return {
    ...rest,
    Name: String(Name).replace(/^\//, ''),
    State: { ...state, ...(state.Paused === true ? { Running: false } : {}) },
    GraphDriver: {
      Name: 'overlayfs',
      Data: { ...((GraphDriver as Json).Data as Json), ...(isOver ? { MergedDir: '' } : {}) },
    },
    Mounts: (Mounts as Json[]).map(({ Type: _type, RW, ...mount }) => ({ ...mount, ...(RW === true ? { RW } : {}) })),
  };
}

function recordedBody(name: string): string {
  return readFileSync(join(import.meta.dirname, 'recordings', `${name}.body`), 'utf8');
}

async function readAll(source: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of source) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** The next piece; rejects when there is none. Leaves the stream paused. */
function nextChunk(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      socket.off('data', onData).off('end', onEnd).off('close', onEnd);
    };
    const onData = (chunk: Buffer): void => {
      socket.pause();
      done();
      resolve(chunk);
    };
    const onEnd = (): void => {
      done();
      reject(new Error('the stream has ended'));
    };
    socket.on('data', onData).on('end', onEnd).on('close', onEnd);
    socket.resume();
  });
}
