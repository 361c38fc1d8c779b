/**
 * An npm registry in memory, for the test of a release: it takes what is published and gives it back. What it has not
 * got, a client is sent to the ordinary registry for.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface LocalRegistry {
  readonly url: string;
  /** What `npm publish` has sent, in its order, as `name@version`. */
  readonly published: readonly string[];
  close(): Promise<void>;
}

/** What npm sends and gets for a package. */
interface PackageDocument {
  readonly name: string;
  readonly versions: Record<string, { readonly dist: { tarball: string } }>;
  readonly 'dist-tags': Record<string, string>;
  readonly _attachments?: Readonly<Record<string, { readonly data: string }>>;
}

export async function startLocalRegistry(ordinaryRegistry: string): Promise<LocalRegistry> {
  const documents = new Map<string, PackageDocument>();
  const tarballs = new Map<string, Buffer>();
  const published: string[] = [];
  let url = '';

  async function publish(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!request.headers.authorization?.startsWith('Bearer ')) return answer(response, 401, { error: 'no token' });
    const { _attachments, ...document } = JSON.parse(await readText(request)) as PackageDocument;
    const known = documents.get(document.name);
    for (const [version, { dist }] of Object.entries(document.versions)) {
      if (known?.versions[version] !== undefined)
        return answer(response, 409, { error: `${version} is there already` });
      const file = `${document.name}/-/${version}.tgz`;
      const [attachment] = Object.values(_attachments ?? {});
      tarballs.set(file, Buffer.from(attachment?.data ?? '', 'base64'));
      dist.tarball = `${url}${file}`;
      published.push(`${document.name}@${version}`);
    }
    documents.set(document.name, {
      ...document,
      versions: { ...known?.versions, ...document.versions },
      'dist-tags': { ...known?.['dist-tags'], ...document['dist-tags'] },
    });
    answer(response, 201, { ok: true });
  }

  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', url).pathname.slice(1));
    if (request.method === 'PUT') {
      publish(request, response).catch((error: Error) => answer(response, 400, { error: error.message }));
      return;
    }
    const document = documents.get(path);
    const tarball = tarballs.get(path);
    if (document !== undefined) answer(response, 200, document);
    else if (tarball !== undefined) response.end(tarball);
    // Ours are nowhere else: a release must not find an earlier one.
    else if (/^(@crikit\/|crikit$)/.test(path)) answer(response, 404, { error: 'not found' });
    else response.writeHead(302, { location: new URL(request.url ?? '/', ordinaryRegistry).href }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return {
    url,
    published,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
