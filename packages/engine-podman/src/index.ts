import { registerEngine } from '@crikit/core';
import { podman } from './podman.js';

registerEngine(podman());

export { podman } from './podman.js';
export type { PodmanOptions } from './podman-options.js';
