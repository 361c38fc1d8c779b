import { registerEngine } from '@crikit/core';
import { containerd } from './containerd.js';

registerEngine(containerd());

export { containerd } from './containerd.js';
export type { ContainerdOptions } from './containerd-options.js';
