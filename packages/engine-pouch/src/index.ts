import { registerEngine } from '@crikit/core';
import { pouch } from './pouch.js';

registerEngine(pouch());

export { pouch } from './pouch.js';
export type { PouchOptions } from './pouch-options.js';
