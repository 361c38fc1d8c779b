import { registerEngine } from '@crikit/core';
import { docker } from './docker.js';

registerEngine(docker());

export { docker } from './docker.js';
export type { DockerOptions } from './docker-options.js';
