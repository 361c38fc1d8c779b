// An agent to be killed: connects into a container's network, says that it works, and waits.
import { connectEngine } from '@crikit/core';
import { docker } from '../dist/index.js';

const [, , socketPath, id] = process.argv;
const engine = await connectEngine(docker({ socketPath }));
await engine.dial(id, { port: 8080 });
process.stdout.write('open\n');
setInterval(() => {}, 1_000);
