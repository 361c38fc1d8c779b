import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type FakeReply = (request: IncomingMessage, response: ServerResponse) => void;

/** A Docker daemon that answers as it is told, and badly where a test wants that. */
export interface FakeDockerDaemon extends AsyncDisposable {
  readonly socketPath: string;
  /** `GET /containers/json?all=1`, in the order of arrival and without the API version. */
  readonly requests: readonly string[];
  /** Connections that are open now. */
  readonly connections: ReadonlySet<Socket>;
  /** The reply to requests that begin with `start`, such as `GET /containers/json`; the last one told counts. */
  on(start: string, reply: FakeReply): void;
  /** How an `Upgrade` (the start of an exec) goes on after its 101; default: the connection ends at once. */
  onHijack(act: (socket: Socket) => void): void;
}

/** What dockerd 20.10.24 says, as far as anybody reads it. */
export const fakeVersion = {
  Components: [{ Name: 'Engine', Version: '20.10.24' }],
  Version: '20.10.24',
  ApiVersion: '1.41',
  MinAPIVersion: '1.12',
};

export const json =
  (body: unknown, status = 200): FakeReply =>
  (_, response) => {
    response.writeHead(status, { 'Content-Type': 'application/json', 'Api-Version': '1.41' });
    response.end(JSON.stringify(body));
  };

/** Complete by its headers, and not by its content. */
export const text =
  (body: string, status = 200): FakeReply =>
  (_, response) => {
    response.writeHead(status, { 'Content-Type': 'application/json', 'Api-Version': '1.41' });
    response.end(body);
  };

/** The headers promise more than comes; then the connection is gone. */
export const cutOff: FakeReply = (request, response) => {
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': 1_000 });
  response.write('[{"Id":"aa"');
  response.flushHeaders();
  setImmediate(() => request.socket.destroy());
};

export const hang: FakeReply = () => {};

/** Closes the connection without a word. */
export const hangUp: FakeReply = (request) => {
  request.socket.destroy();
};

export async function startFakeDockerDaemon(): Promise<FakeDockerDaemon> {
  const directory = mkdtempSync(join(tmpdir(), 'crikit-fake-'));
  const socketPath = join(directory, 'docker.sock');
  const requests: string[] = [];
  const replies: { start: string; reply: FakeReply }[] = [{ start: 'GET /version', reply: json(fakeVersion) }];
  const connections = new Set<Socket>();
  let hijacked = (socket: Socket): void => void socket.end();

  const describe = (request: IncomingMessage): string =>
    `${request.method} ${(request.url ?? '').replace(/^\/v\d+\.\d+(?=\/)/, '')}`;
  const server = createServer((request, response) => {
    const asked = describe(request);
    requests.push(asked);
    const found = replies.findLast(({ start }) => asked.startsWith(start));
    (found?.reply ?? json({ message: 'page not found' }, 404))(request, response);
  });
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => connections.delete(socket));
  });
  server.on('upgrade', (request, socket: Socket, head: Buffer) => {
    const asked = describe(request);
    requests.push(asked);
    const found = replies.findLast(({ start }) => asked.startsWith(start));
    if (found !== undefined) {
      const { socket: plain } = request;
      found.reply(request, refuseUpgrade(plain));
      return;
    }
    // The body of the request has not been read by the server: it is told apart from stdin by its length.
    const length = Number(request.headers['content-length'] ?? 0);
    let left = length;
    const onData = (chunk: Buffer): void => {
      const rest = chunk.subarray(left);
      left = Math.max(0, left - chunk.length);
      if (left > 0) return;
      socket.off('data', onData);
      socket.pause();
      if (rest.length > 0) socket.unshift(rest);
      socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n', () => {
        hijacked(socket);
        socket.resume();
      });
    };
    if (head.length > 0) socket.unshift(head);
    socket.on('data', onData);
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));

  return {
    socketPath,
    requests,
    connections,
    on(start, reply) {
      replies.push({ start, reply });
    },
    onHijack(act) {
      hijacked = act;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of connections) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Just enough of a response to refuse a hijack: Node gives none with an upgrade. */
function refuseUpgrade(socket: Socket): ServerResponse {
  let head = '';
  return {
    writeHead(status: number) {
      head = `HTTP/1.1 ${status} Refused\r\nContent-Type: application/json\r\nConnection: close\r\n`;
    },
    end(body = '') {
      socket.end(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    },
  } as unknown as ServerResponse;
}
