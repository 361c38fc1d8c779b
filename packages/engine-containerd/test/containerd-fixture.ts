import { type ContainerReference, connectEngine, type Logger } from '@crikit/core';
import type { EngineFixture, FixtureContainer } from '@crikit/engine-conformance';
import { createContainerdDaemon, removeContainerdContainer, runContainerdContainer } from '../../../tools/lab/lab.mjs';
import { describeWithEngine, type LabEngine } from '../../../tools/test-support/lab.js';
import { containerd } from '../src/containerd.js';
import type { ContainerdOptions } from '../src/containerd-options.js';

export type ContainerdDaemon = ReturnType<typeof createContainerdDaemon>;

export type Release = 'current' | 'next' | 'rolling';

/** The releases of containerd that the lab has; the newer ones are for the long tests. */
const releases: Readonly<Record<string, Release>> =
  process.env.CRIKIT_LONG_TESTS === undefined
    ? { containerd: 'current' }
    : { 'containerd-next': 'next', 'containerd-2': 'rolling' };

/** The same suite for each release that the lab runs; each of the others is reported as skipped. */
export function describeWithContainerds(
  name: string,
  define: (lab: { readonly daemon: ContainerdDaemon; readonly release: Release; readonly state: LabEngine }) => void,
): void {
  for (const [engineName, release] of Object.entries(releases)) {
    describeWithEngine(engineName, `${name} (${engineName})`, (state) => {
      // Without an engine the suite is defined all the same, to be counted; the folder is not touched then.
      const directory = state.directory === '' ? '/nonexistent' : state.directory;
      define({ daemon: createContainerdDaemon({ directory, release }), release, state });
    });
  }
}

export function connectContainerd(
  socketPath: string,
  options: ContainerdOptions & { readonly logger?: Logger } = {},
): ReturnType<typeof connectEngine> {
  const { logger, ...rest } = options;
  const definition = containerd({ address: socketPath, namespaces: ['k8s.io', 'default'], ...rest });
  return connectEngine(definition, logger === undefined ? {} : { logger });
}

const imageNames = { shell: 'crikit-lab/busybox:1', users: 'crikit-lab/users:1', 'no-shell': 'crikit-lab/no-shell:1' };
const namespace = 'default';
let made = 0;

/** Plain containers, made by containerd's own command. */
export async function createContainerdFixture(daemon: ContainerdDaemon): Promise<EngineFixture> {
  const engine = await connectContainerd(daemon.socketPath);
  const containers = new Set<FixtureContainer>();
  return {
    engine,
    async runContainer({ image = 'shell', cmd, env, labels } = {}) {
      made += 1;
      const id = `fixture-${process.pid}-${made}`;
      await runContainerdContainer(daemon, {
        id,
        namespace,
        image: imageNames[image],
        ...(cmd === undefined ? {} : { cmd }),
        ...(env === undefined ? {} : { env }),
        ...(labels === undefined ? {} : { labels }),
        ...(image === 'no-shell' && cmd === undefined ? { cmd: ['/bin/sleep', '1000000'] } : {}),
      });
      const container = createFixtureContainer(daemon, id, () => containers.delete(container));
      containers.add(container);
      return container;
    },
    async close() {
      await Promise.all([...containers].map((container) => container.remove()));
      await engine.close();
    },
  };
}

function createFixtureContainer(daemon: ContainerdDaemon, id: string, onRemoved: () => void): FixtureContainer {
  const tasks = (...commandArguments: string[]): Promise<string> => daemon.ctr(namespace, 'tasks', ...commandArguments);
  const target: ContainerReference = { scope: namespace, id };
  return {
    target,
    id,
    async stop() {
      await tasks('kill', '--signal', 'SIGKILL', id);
      await waitUntil(async () => (await stateOf(daemon, id)) === 'STOPPED');
    },
    async start() {
      await tasks('delete', id);
      await tasks('start', '--detach', '--null-io', id);
    },
    async pause() {
      await tasks('pause', id);
    },
    async resume() {
      await tasks('resume', id);
    },
    async remove() {
      onRemoved();
      if ((await stateOf(daemon, id)) === 'PAUSED') await tasks('resume', id);
      await removeContainerdContainer(daemon, { id, namespace });
    },
  };
}

async function stateOf(daemon: ContainerdDaemon, id: string): Promise<string | undefined> {
  const lines = (await daemon.ctr(namespace, 'tasks', 'ls')).split('\n').map((line) => line.split(/\s+/));
  return lines.find(([task]) => task === id)?.[2];
}

/** Looks again and again until `holds`; rejects when the time is up. */
export async function waitUntil(holds: () => boolean | Promise<boolean>, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not so after ${timeoutMs} ms: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
