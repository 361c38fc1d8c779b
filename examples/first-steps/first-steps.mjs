// @ts-check
import '@crikit/engine-docker'; // registers itself
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isCrikitError, mainBiz } from '@crikit/core';
import { createMetaStore, labelPods } from '@crikit/metastore';

const store = createMetaStore({ pods: labelPods({ unlabelled: 'pod-per-container' }) });
try {
  await store.start({ requireReady: true });

  for (const pod of store.getAllPods()) {
    console.log(`${pod.namespace}/${pod.name} (${pod.phase})`);
    for (const container of pod.all) {
      console.log(
        `  ${container.shortId}  ${container.role}  ${container.k8sName ?? container.name}: ${container.roleReason}`,
      );
    }
  }

  const biz = store.getAllPods().flatMap((pod) => mainBiz(pod) ?? [])[0];
  if (biz === undefined) {
    console.log('No pod with one running business container is here.');
  } else {
    const { stdout } = await store.exec(biz, { cmd: ['id'], timeoutMs: 5_000, check: true });
    console.log(`id in ${biz.name}: ${stdout.toString().trim()}`);

    const folder = await mkdtemp(join(tmpdir(), 'first-steps-'));
    const { method } = await store.copyFromContainer(biz, '/etc/hostname', join(folder, 'hostname'));
    console.log(`its /etc/hostname, by '${method}': ${(await readFile(join(folder, 'hostname'), 'utf8')).trim()}`);
    await rm(folder, { recursive: true });
  }

  // The present state comes first, then every change; here the first event is enough.
  for await (const event of store.events({ signal: AbortSignal.timeout(10_000) })) {
    console.log(`first event: ${event.type}`);
    break;
  }
} catch (error) {
  // Every error of crikit has a stable code, and a message that says what to do next.
  console.error(isCrikitError(error) ? `${error.code}: ${error.message}` : error);
  process.exitCode = 1;
} finally {
  await store.close();
}
