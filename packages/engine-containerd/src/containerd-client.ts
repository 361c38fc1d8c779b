import { createConnection } from 'node:net';
import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { Client, type ClientReadableStream, connectivityState, credentials, Metadata } from '@grpc/grpc-js';

export interface UnaryOptions {
  /** containerd's namespace; absent for services that have none. */
  readonly namespace?: string;
  /** Cancels the call. */
  readonly signal?: AbortSignal;
  /** Default: none; the signal ends the call. */
  readonly timeoutMs?: number;
}

/** A connection to one containerd, made at the first call and made anew when it was lost. */
export interface ContainerdClient {
  /** Rejects with gRPC's own error, which has a `code`, or with the signal's reason. */
  call<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    request: MessageInitShape<Input>,
    options?: UnaryOptions,
  ): Promise<MessageShape<Output>>;
  /** The stream ends with an error when the daemon is lost; it does not come back by itself. */
  stream<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodServerStreaming<Input, Output>,
    request: MessageInitShape<Input>,
  ): ClientReadableStream<MessageShape<Output>>;
  /** Resolves once connected, at the latest after `timeoutMs`; says whether it is. */
  waitUntilConnected(timeoutMs: number): Promise<boolean>;
  close(): void;
}

// containerd sends at most 16 MiB; gRPC's own limit, 4 MiB, is less than a full node's list.
const maxReplyBytes = 32 * 1024 * 1024;

// No keep-alive pings: containerd's gRPC library may cut connections that send them.
const channelOptions = {
  'grpc.max_receive_message_length': maxReplyBytes,
  'grpc.max_send_message_length': maxReplyBytes,
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.min_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 500,
  'grpc.enable_http_proxy': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.service_config_disable_resolution': 1,
};

/** Longer than the longest pause between two attempts to connect. */
const reconnectWaitMs = 750;

export function createContainerdClient(socketPath: string): ContainerdClient {
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), channelOptions);
  const waitUntilConnected = (timeoutMs: number): Promise<boolean> =>
    new Promise((resolve) => {
      client.waitForReady(Date.now() + timeoutMs, (error) => resolve(error === undefined));
    });
  // After a loss gRPC pauses before it connects again, and until then refuses calls to a daemon that may be back.
  const endPause = async (): Promise<void> => {
    const { TRANSIENT_FAILURE } = connectivityState;
    if (client.getChannel().getConnectivityState(false) !== TRANSIENT_FAILURE) return;
    if (await acceptsConnections(socketPath)) await waitUntilConnected(reconnectWaitMs);
  };
  return {
    call: async (method, request, options = {}) => {
      const { namespace, signal, timeoutMs } = options;
      await endPause();
      return new Promise((resolve, reject) => {
        if (signal?.aborted === true) {
          reject(signal.reason);
          return;
        }
        const onAbort = (): void => {
          call.cancel();
          reject(signal?.reason);
        };
        const call = client.makeUnaryRequest(
          pathOf(method),
          (message) => Buffer.from(toBinary(method.input, message)),
          (bytes) => fromBinary(method.output, bytes),
          create(method.input, request),
          metadataOf(namespace),
          timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs },
          (error, reply) => {
            signal?.removeEventListener('abort', onAbort);
            if (error !== null) reject(error);
            else if (reply === undefined) reject(new Error('an empty reply'));
            else resolve(reply);
          },
        );
        signal?.addEventListener('abort', onAbort, { once: true });
      });
    },
    stream: (method, request) =>
      client.makeServerStreamRequest(
        pathOf(method),
        (message) => Buffer.from(toBinary(method.input, message)),
        (bytes) => fromBinary(method.output, bytes),
        create(method.input, request),
        metadataOf(undefined),
      ),
    waitUntilConnected,
    close: () => client.close(),
  };
}

function acceptsConnections(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function pathOf(method: { readonly parent: { readonly typeName: string }; readonly name: string }): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function metadataOf(namespace: string | undefined): Metadata {
  const metadata = new Metadata();
  if (namespace !== undefined) metadata.set('containerd-namespace', namespace);
  return metadata;
}
