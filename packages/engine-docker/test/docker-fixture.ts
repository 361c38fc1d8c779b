import { connectEngine } from '@crikit/core';
import type { EngineFixture, FixtureContainer, FixtureContainerOptions } from '@crikit/engine-conformance';
import { dockerRequest, IMAGES, removeContainer, runContainer } from '../../../tools/lab/lab.mjs';
import { docker } from '../src/docker.js';

const images = { shell: IMAGES.busybox, users: IMAGES.users, 'no-shell': IMAGES.noShell };

/** A fixture on a daemon: `endpoint` is a socket path or `tcp://host:port`. */
export async function createDockerFixture(endpoint: string): Promise<EngineFixture> {
  const engine = await connectEngine(docker({ host: endpoint.startsWith('/') ? `unix://${endpoint}` : endpoint }));
  const made = new Set<FixtureContainer>();
  return {
    engine,
    async runContainer(options = {}) {
      const container = await createDockerContainer(endpoint, options);
      made.add(container);
      return container;
    },
    async close() {
      await Promise.all([...made].map((container) => container.remove()));
      await engine.close();
    },
  };
}

/** A container of a suite, made by Docker's own API. */
export async function createDockerContainer(
  endpoint: string,
  { image = 'shell', cmd, env, labels }: FixtureContainerOptions,
): Promise<FixtureContainer> {
  const { id } = await runContainer(endpoint, {
    image: images[image],
    // A static binary under its full path: one of the images has nothing to search.
    cmd: cmd ?? ['/bin/sleep', '1000000'],
    ...(env === undefined ? {} : { env }),
    ...(labels === undefined ? {} : { labels }),
  });
  const post = async (action: string): Promise<void> => {
    await dockerRequest(endpoint, 'POST', `/containers/${id}/${action}`);
  };
  return {
    id,
    target: id,
    stop: () => post('stop?t=0'),
    start: () => post('start'),
    pause: () => post('pause'),
    resume: () => post('unpause'),
    remove: () => removeContainer(endpoint, id),
  };
}
