// @ts-check
// Streams through a command with a reader or a writer that is slow, and prints by how many MiB the process grew. A
// program of its own, because a test runner's memory says nothing.
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { connectEngine } from '@crikit/core';
import { docker } from '@crikit/engine-docker';

const [, , socketPath = '', container = '', direction = ''] = process.argv;
const engine = await connectEngine(docker({ socketPath }));
// What the first use of everything loads is no growth.
await engine.exec(container, { cmd: ['cat'], input: 'x' });
const before = process.memoryUsage.rss();
let most = before;
const watching = setInterval(() => {
  most = Math.max(most, process.memoryUsage.rss());
}, 20);

const size = 200 * 1024 * 1024;
const report = direction === 'stdout' ? await readSlowly() : await writeToSlowReader();
clearInterval(watching);
await engine.close();
process.stdout.write(`${JSON.stringify({ ...report, grownMiB: (most - before) / 1024 / 1024 })}\n`);

async function readSlowly() {
  const running = await engine.execAsync(container, { cmd: ['sh', '-c', `yes 0123456789 | head -c ${size}`] });
  running.stderr.resume();
  const hash = createHash('sha256');
  let bytes = 0;
  let pauses = 0;
  for await (const chunk of running.stdout) {
    hash.update(chunk);
    bytes += chunk.length;
    // A pause for each of the first MiB, while the command could write all the rest.
    if (pauses < 20 && bytes > pauses * 1024 * 1024) {
      pauses += 1;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  return { bytes, digest: hash.digest('hex'), result: await running.result };
}

async function writeToSlowReader() {
  let bytes = 0;
  const input = new Readable({
    read() {
      bytes += 64 * 1024;
      this.push(bytes > size ? null : Buffer.alloc(64 * 1024, 'y'));
    },
  });
  // Reads nothing for a while, then everything.
  const { stdout } = await engine.exec(container, { cmd: ['sh', '-c', 'sleep 2; wc -c'], input });
  return { bytes: Number(stdout.toString()) };
}
