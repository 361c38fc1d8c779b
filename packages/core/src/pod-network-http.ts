import type { Agent } from 'node:http';
import type { Socket } from 'node:net';
import type { DialTarget } from './pod-network.js';

/** What undici's dispatchers take as `connect`: `fetch(url, { dispatcher: new Agent({ connect }) })` with its own `fetch`. */
export type PodConnector = (
  options: {
    readonly hostname: string;
    readonly port: string;
    readonly protocol: string;
    readonly servername?: string | null | undefined;
  },
  callback: (...result: [error: Error, socket: null] | [error: null, socket: Socket]) => void,
) => void;

type Dial = (target: DialTarget) => Promise<Socket>;

/** An agent for node:http whose connections `dial` makes; kept alive and used again. */
export function createPodHttpAgent(dial: Dial): Agent {
  // Not imported above: loading it costs every program some time, and few dial.
  const { Agent } = process.getBuiltinModule('node:http');
  const agent = new Agent({ keepAlive: true });
  // Node calls it with a callback, which its types do not say for agents of one's own.
  Object.assign(agent, {
    createConnection(
      options: { readonly host?: string | null; readonly port?: number | string | null },
      done: (error: Error | null, socket?: Socket) => void,
    ): void {
      dial(targetOf(options.host ?? undefined, options.port ?? 80)).then((socket) => done(null, socket), done);
    },
  });
  return agent;
}

export function createPodConnector(dial: Dial): PodConnector {
  return ({ hostname, port, protocol, servername }, callback) => {
    const secure = protocol === 'https:';
    dial(targetOf(hostname, port === '' ? (secure ? 443 : 80) : port)).then(
      (socket) => {
        if (!secure) {
          callback(null, socket);
          return;
        }
        const name = servername ?? hostname;
        const encrypted = process
          .getBuiltinModule('node:tls')
          .connect({ socket, ...(name === '' ? {} : { servername: name }) });
        encrypted.once('secureConnect', () => callback(null, encrypted));
        encrypted.once('error', (error) => callback(error, null));
      },
      (error: Error) => callback(error, null),
    );
  };
}

function targetOf(host: string | undefined, port: number | string): DialTarget {
  return { port: Number(port), ...(host === undefined ? {} : { host: host.replace(/^\[(.*)\]$/, '$1') }) };
}
