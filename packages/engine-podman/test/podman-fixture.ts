import type { EngineFixture, FixtureContainer } from '@crikit/engine-conformance';
import { dockerRequest, IMAGES, removePodmanContainer, runPodmanContainer } from '../../../tools/lab/lab.mjs';
import type { LabEngine } from '../../../tools/test-support/lab.js';

const images = { shell: IMAGES.busybox, users: IMAGES.users, 'no-shell': IMAGES.noShell };

/** Containers made by Podman's own API, without the package under test. */
export async function createPodmanFixture(lab: LabEngine): Promise<Omit<EngineFixture, 'engine'>> {
  const { socketPath } = lab;
  const made = new Set<FixtureContainer>();
  return {
    // Podman's own: a client without this package loses it as well.
    mayLoseOutputOnUnreadInput: true,
    async runContainer({ image = 'shell', cmd, env, labels } = {}) {
      const { id } = await runPodmanContainer(lab, {
        image: images[image],
        ...(cmd === undefined ? {} : { cmd }),
        ...(env === undefined ? {} : { env }),
        ...(labels === undefined ? {} : { labels }),
      });
      const container = createFixtureContainer(socketPath, id);
      made.add(container);
      return container;
    },
    async close() {
      await Promise.all([...made].map((container) => container.remove()));
    },
  };
}

function createFixtureContainer(socketPath: string, id: string): FixtureContainer {
  const post = async (action: string): Promise<void> => {
    await dockerRequest(socketPath, 'POST', `/v4.0.0/libpod/containers/${id}/${action}`);
  };
  return {
    id,
    target: id,
    stop: () => post('stop?timeout=0'),
    start: () => post('start'),
    pause: () => post('pause'),
    resume: () => post('unpause'),
    remove: () => removePodmanContainer({ socketPath }, id),
  };
}
