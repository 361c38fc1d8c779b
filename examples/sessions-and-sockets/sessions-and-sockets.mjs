// @ts-check
import '@crikit/engine-docker'; // registers itself
import { isCrikitError, mainBiz } from '@crikit/core';
import { createMetaStore, labelPods } from '@crikit/metastore';
import { Agent, fetch } from 'undici';

const port = Number(process.env.PORT ?? 8080);
const store = createMetaStore({ pods: labelPods({ unlabelled: 'pod-per-container' }) });
try {
  await store.start({ requireReady: true });
  const biz = store.getAllPods().flatMap((pod) => mainBiz(pod) ?? [])[0];
  if (biz === undefined) throw new Error('No pod with one running business container is here.');

  // One shell for all of them: each costs a fork and not a start of the container's runtime.
  const session = await store.openSession(biz, { idleTimeoutMs: 10_000 });
  try {
    for (const cmd of [['id', '-un'], ['hostname'], ['cat', '/proc/loadavg']]) {
      const { stdout } = await session.exec({ cmd, timeoutMs: 2_000, check: true });
      console.log(`${cmd.join(' ')}: ${stdout.toString().trim()}`);
    }
  } finally {
    await session.close();
  }

  // Nothing of the container is run for it, and the port need not be open to anybody outside of the pod.
  const dispatcher = new Agent({ connect: store.connector(biz) });
  try {
    const response = await fetch(`http://127.0.0.1:${port}/`, { dispatcher });
    console.log(`port ${port} of the pod: ${response.status} ${(await response.text()).trim()}`);
  } finally {
    await dispatcher.close();
  }

  // For programs that are not this one.
  const forward = await store.portForward(biz, port);
  try {
    const response = await fetch(`http://${forward.host}:${forward.port}/`);
    console.log(`the same through port ${forward.port} here: ${response.status}`);
  } finally {
    await forward.close();
  }
} catch (error) {
  console.error(isCrikitError(error) ? `${error.code}: ${error.message}` : error);
  process.exitCode = 1;
} finally {
  await store.close();
}
