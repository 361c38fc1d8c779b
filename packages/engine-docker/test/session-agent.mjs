// An agent to be killed: opens a session, says that it works, and waits.
import { connectEngine } from '@crikit/core';
import { docker } from '../dist/index.js';

const [, , socketPath, id] = process.argv;
const engine = await connectEngine(docker({ socketPath }));
const session = await engine.openSession(id, { idleTimeoutMs: 3_600_000 });
await session.exec({ cmd: ['true'] });
process.stdout.write('open\n');
setInterval(() => {}, 1_000);
