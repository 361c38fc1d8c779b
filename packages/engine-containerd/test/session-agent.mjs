// An agent to be killed: opens a session, says that it works, and waits.
import { connectEngine } from '@crikit/core';
import { containerd } from '../dist/index.js';

const [, , address, scope, id] = process.argv;
const engine = await connectEngine(containerd({ address, namespaces: [scope] }));
const session = await engine.openSession({ scope, id }, { idleTimeoutMs: 1_000 });
await session.exec({ cmd: ['true'] });
process.stdout.write('open\n');
setInterval(() => {}, 1_000);
