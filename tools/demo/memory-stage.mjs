// @ts-check
import { createInMemoryEngine } from '@crikit/engine-conformance';

/**
 * The same pod on an engine that only exists in memory: what is shown is crikit's own work, not a container's.
 * @returns {import('./demo.mjs').Stage}
 */
export function createMemoryStage() {
  const { definition, control } = createInMemoryEngine({
    commands: {
      sh: async ({ cmd, env, stdout, stderr, signal }) => {
        // The look for processes that outlived a kill: in memory there are none.
        if (cmd[2]?.includes('/environ')) return 0;
        if (cmd[2]?.includes('sleep')) {
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
          return 137;
        }
        stdout.write(`I am a script in memory, ${env.GREETING}\n`);
        stderr.write('this goes to stderr\n');
        return 3;
      },
    },
  });
  const about = { namespace: 'shop', name: 'web-0', labels: { app: 'web' } };
  return {
    definitions: [definition],
    async createPod() {
      control.addPod({ ...about, containers: [{ k8sName: 'main' }, { k8sName: 'log-sidecar' }] });
      return about;
    },
    async startContainer() {
      return control.addContainer({ name: 'worker', status: 'running' });
    },
    async killContainer(id) {
      control.stopContainer(id, 137);
    },
    async remove() {},
  };
}
