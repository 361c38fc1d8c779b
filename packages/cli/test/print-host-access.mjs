// @ts-check
/** For a test: what this process may do to each container of the Docker engine that the environment names, as JSON. */
import '@crikit/engine-docker';
import { createMetaStore, labelPods } from '@crikit/metastore';

const store = createMetaStore({ engines: ['docker'], pods: labelPods(), enrichment: false });
await store.start({ requireReady: true });
/** @type {Record<string, unknown>} */
const found = {};
for (const container of store.getAllContainers({ withoutPod: true })) {
  const { access, reason } = await store.getHostAccess(container);
  const passwd = await store.readFile(container, '/etc/passwd').then(
    (content) => content.length > 0,
    (error) => error.code,
  );
  const processes = await store.listProcesses(container);
  const byPid = store.getContainerByPid(container.state.pid)?.name;
  found[container.name] = { access, reason, passwd, processes: processes.length, byPid };
}
await store.close();
console.log(JSON.stringify(found));
