import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { removeContainer, runContainer } from '../../../tools/lab/lab.mjs';
import { describeWithDocker } from '../../../tools/test-support/lab.js';

describeWithDocker('Docker, what it uses', ({ socketPath }) => {
  test('1000 commands in a row leave no descriptor, connection, timer or listener behind', {
    timeout: 600_000,
  }, async () => {
    const { id } = await runContainer(socketPath, { name: `many-commands-${process.pid}` });
    try {
      const program = join(import.meta.dirname, 'many-commands.mjs');
      const { stdout } = await promisify(execFile)(process.execPath, [program, socketPath, id, '1000']);
      // That the program ends by itself says that nothing keeps it alive, either.
      const { before, after, warnings } = JSON.parse(stdout);
      expect(after).toEqual(before);
      expect(warnings).toEqual([]);
    } finally {
      await removeContainer(socketPath, id);
    }
  });
});
