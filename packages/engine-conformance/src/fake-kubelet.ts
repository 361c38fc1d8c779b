import { type FakeServer, type FakeServerOptions, startFakeServer, statusObject } from './fake-http-server.js';

export interface FakeKubelet extends FakeServer {
  /** The pods that it tells of from now on, as they are, whatever their resourceVersion says. */
  setPods(pods: readonly object[]): void;
}

/** A kubelet's `/pods`: no resourceVersion on the list, no kind on its items. Without `tls` it is the read-only port. */
export async function createFakeKubelet(options: FakeServerOptions = {}): Promise<FakeKubelet> {
  let text = listText([]);
  const server = await startFakeServer(options, ({ path }, reply) => {
    if (path === '/pods' || path === '/pods/') reply.json(text);
    else reply.status(404, statusObject(404, 'page not found'));
  });
  return Object.defineProperties(
    {
      setPods: (pods: readonly object[]) => {
        text = listText(pods);
      },
    },
    Object.getOwnPropertyDescriptors(server),
  ) as FakeKubelet;
}

function listText(pods: readonly object[]): string {
  const items = pods.map((pod) => ({ ...pod, kind: undefined, apiVersion: undefined }));
  return JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items });
}
