// @ts-check
import { removeContainer, runContainer } from '../tools/lab/lab.mjs';

const count = 200;

/**
 * 200 running containers, 50 pods of a sandbox and three containers each, as a kubelet names them.
 * @template Value
 * @param {string} socketPath
 * @param {(ids: readonly string[]) => Promise<Value>} use
 */
export async function withTwoHundredContainers(socketPath, use) {
  console.log(`\nStarting ${count} containers …`);
  /** @type {string[]} */
  const ids = [];
  let next = 0;
  const work = async () => {
    for (let index = next++; index < count; index = next++) {
      const { id } = await runContainer(socketPath, podContainer(index));
      ids.push(id);
    }
  };
  try {
    await Promise.all([work(), work(), work(), work()]);
    return await use(ids);
  } finally {
    console.log(`Removing ${ids.length} containers …`);
    const drop = async () => {
      for (let id = ids.pop(); id !== undefined; id = ids.pop()) await removeContainer(socketPath, id);
    };
    await Promise.all([drop(), drop(), drop(), drop()]);
  }
}

/** @param {number} index */
function podContainer(index) {
  const pod = `bench-${process.pid}-${Math.floor(index / 4)}`;
  const uid = `00000000-0000-4000-8000-${String(process.pid * 100 + Math.floor(index / 4)).padStart(12, '0')}`;
  const name = ['POD', 'main', 'proxy', 'log'][index % 4] ?? 'main';
  return {
    name: `k8s_${name}_${pod}_bench_${uid}_0`,
    labels: {
      'io.kubernetes.docker.type': name === 'POD' ? 'podsandbox' : 'container',
      'io.kubernetes.pod.uid': uid,
      'io.kubernetes.pod.name': pod,
      'io.kubernetes.pod.namespace': 'bench',
      'io.kubernetes.container.name': name,
    },
  };
}
