// @ts-check
// What runs on this node's containerd, one command in each container, then three seconds of changes.
import { connectEngine, isCrikitError } from '@crikit/core';
import { containerd } from '@crikit/engine-containerd';

try {
  // Sockets are found by themselves; CONTAINERD_ADDRESS names another.
  const engine = await connectEngine(containerd({ namespaces: ['k8s.io', 'default'] }));
  try {
    for (const { reference, name, status, kubernetes } of await engine.listAllContainers()) {
      const pod = kubernetes === undefined ? '' : ` of ${kubernetes.namespace}/${kubernetes.podName}`;
      console.log(`${reference.scope}  ${reference.id.slice(0, 12)}  ${status}  ${name}${pod}`);
      if (status !== 'running' || kubernetes?.kind === 'sandbox') continue;
      // The outcome of each is its own: an image without `id` keeps no other from being asked.
      const outcome = await engine
        .exec(reference, { cmd: ['id'], timeoutMs: 5_000 })
        .then(({ stdout }) => stdout.toString().trim())
        .catch((error) => error.message);
      console.log(`  ${outcome}`);
    }
    for await (const { action, reference, exitCode } of engine.events({ signal: AbortSignal.timeout(3_000) })) {
      console.log(`${action} ${reference.id.slice(0, 12)}${exitCode === undefined ? '' : ` with ${exitCode}`}`);
    }
  } finally {
    await engine.close();
  }
} catch (error) {
  console.error(isCrikitError(error) ? `${error.code}: ${error.message}` : error);
  process.exitCode = 1;
}
