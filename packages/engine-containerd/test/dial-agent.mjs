// An agent to be killed: connects into a container's network, says that it works, and waits.
import { connectEngine } from '@crikit/core';
import { containerd } from '../dist/index.js';

const [, , address, scope, id] = process.argv;
const engine = await connectEngine(containerd({ address, namespaces: [scope] }));
await engine.dial({ scope, id }, { port: 8080 });
process.stdout.write('open\n');
setInterval(() => {}, 1_000);
