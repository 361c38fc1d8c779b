// A stand-in for the process of checks, which misbehaves as the order's subject says.
import { writeSync } from 'node:fs';

process.on('disconnect', () => process.exit());
process.on('message', ({ task }) => {
  const done = (message) => process.send({ kind: 'done', result: { findings: [{ id: 'node-supported', severity: 'ok', message }] } });
  switch (task.subject) {
    case 'waits for ever':
      return;
    case 'blocks':
      // What a file system that hangs does to a process.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      return;
    case 'throws':
      throw new TypeError('out of order');
    case 'exits':
      process.exit(3);
      return;
    case 'rejects':
      process.send({ kind: 'crashed', message: 'Error: said no' });
      return;
    case 'talks':
      writeSync(2, 'a warning of some package\n');
      done(String(process.pid));
      return;
    default:
      done(String(process.pid));
  }
});
if (process.env.NEVER_READY === undefined) process.send({ kind: 'ready' });
else process.exit(4);
