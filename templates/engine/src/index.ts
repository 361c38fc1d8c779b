import { registerEngine } from '@crikit/core';
import { example } from './example.js';

// Importing the package makes the engine known to every store. Leave `sideEffects` out of package.json: a bundler that
// is told that there are none drops this line.
registerEngine(example());

export { type ExampleOptions, example } from './example.js';
