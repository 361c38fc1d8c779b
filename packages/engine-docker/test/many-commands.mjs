// @ts-check
// Runs many commands in a row and prints what they left behind. A program of its own, because a test runner has
// connections and timers too.
import { readdirSync } from 'node:fs';
import { connectEngine } from '@crikit/core';
import { docker } from '@crikit/engine-docker';

const [, , socketPath = '', container = '', count = ''] = process.argv;
/** @type {string[]} */
const warnings = [];
process.on('warning', ({ message }) => warnings.push(message));

const connections = () => process.getActiveResourcesInfo().filter((kind) => kind === 'PipeWrap').length;
// Node opens its own standard streams when they are first asked for, and they look like connections.
void [process.stdout, process.stderr];
const ownPipes = connections();
const engine = await connectEngine(docker({ socketPath }));
const caller = new AbortController();
let listening = 0;
for (const [name, change] of /** @type {const} */ ([
  ['addEventListener', 1],
  ['removeEventListener', -1],
])) {
  const original = caller.signal[name];
  caller.signal[name] = (/** @type {any[]} */ ...rest) => {
    listening += change;
    Reflect.apply(original, caller.signal, rest);
  };
}

const run = async () => {
  const { exitCode } = await engine.exec(container, { cmd: ['true'], signal: caller.signal });
  if (exitCode !== 0) throw new Error(`exit code ${exitCode}`);
};
await run();
await idle();
const before = look();
for (let done = 0; done < Number(count); done += 1) await run();
await idle();
const after = look();
await engine.close();
process.stdout.write(`${JSON.stringify({ before, after, warnings })}\n`);

function look() {
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    resources: process.getActiveResourcesInfo().filter((kind) => kind !== 'FSReqPromise'),
    processListeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
    signalListeners: listening,
  };
}

/** Node keeps idle connections for some seconds. */
async function idle() {
  const deadline = performance.now() + 15_000;
  while (connections() > ownPipes && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
