// @ts-check
// A fake API server with pods like those of a cluster, in a process of its own. Tells its URL to its parent.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createFakeApiServer } from '@crikit/engine-conformance';

const fixture = new URL('../packages/engine-conformance/src/__fixtures__/kubelet-pods.json', import.meta.url);
/** @type {{ items: { metadata: { name: string } }[] }} */
const { items } = JSON.parse(readFileSync(fixture, 'utf8'));
// The kubelet's record has what kubectl, which made the other, leaves out: managedFields.
const pattern = items.find(({ metadata }) => metadata.name === 'native-sidecar');
if (pattern === undefined) throw new Error('the fixture lacks its pod');

const server = await createFakeApiServer();
let bytes = 0;
for (let count = 0; count < Number(process.argv[2]); count += 1) {
  const pod = structuredClone(pattern);
  Object.assign(pod.metadata, { name: `pod-${String(count).padStart(5, '0')}`, uid: randomUUID() });
  bytes += JSON.stringify(server.put('pods', pod)).length;
}
process.send?.({ url: server.url, bytes });
process.once('disconnect', () => server[Symbol.asyncDispose]());
