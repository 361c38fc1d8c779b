import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

export interface PortForwardOptions {
  /** On this machine. Default: 0, any that is free. */
  readonly localPort?: number;
  /** Where to listen. Default: `127.0.0.1`; anything else lets others in. */
  readonly host?: string;
  /** Closes by itself after so long; `false`: never. Default: 10 minutes. */
  readonly lifeTimeMs?: number | false;
  /** Closes when it aborts. */
  readonly signal?: AbortSignal;
}

export interface PortForward extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** Resolves when it is closed, by whomever. */
  readonly closed: Promise<void>;
  /** Ends the listener and every connection through it. Idempotent. */
  close(): Promise<void>;
}

const defaultLifeTimeMs = 10 * 60 * 1_000;

/** Listens, and joins each connection with one that `dial` makes. */
export async function openPortForward(dial: () => Promise<Socket>, options: PortForwardOptions): Promise<PortForward> {
  const { localPort = 0, host = '127.0.0.1', lifeTimeMs = defaultLifeTimeMs, signal } = options;
  signal?.throwIfAborted();
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  };
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, async (near) => {
    keep(near);
    near.on('error', () => near.destroy());
    try {
      const far = await dial();
      keep(far);
      join(near, far);
      if (near.destroyed || !server.listening) far.destroy();
    } catch {
      // What a direct connection would have met: it is refused, here a moment later.
      near.resetAndDestroy();
    }
  });
  server.listen(localPort, host);
  await once(server, 'listening');
  const address = server.address() as AddressInfo;

  const closed = once(server, 'close').then(() => {});
  const close = async (): Promise<void> => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
    if (server.listening) server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  const onAbort = (): void => void close();
  const timer = lifeTimeMs === false ? undefined : setTimeout(onAbort, lifeTimeMs);
  signal?.addEventListener('abort', onAbort, { once: true });
  return { host: address.address, port: address.port, closed, close, [Symbol.asyncDispose]: close };
}

/** Each side's end is the other's; either may go on speaking after the other has ended. */
function join(near: Socket, far: Socket): void {
  far.allowHalfOpen = true;
  near.pipe(far);
  far.pipe(near);
  // After its own end a side is closed while what it has said may still be on its way through the other.
  near.once('close', () => {
    if (!near.readableEnded) far.destroy();
  });
  far.once('close', () => {
    if (!far.readableEnded) near.destroy();
  });
  near.on('error', () => far.destroy());
  far.on('error', () => near.resetAndDestroy());
}
