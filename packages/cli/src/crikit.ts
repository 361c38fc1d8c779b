#!/usr/bin/env node
import { InterruptedError } from './errors/interrupted-error.js';
import { exitCodes } from './exit-codes.js';
import { reportError } from './report-error.js';
import { runCrikit } from './run-crikit.js';

const interruption = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    // Who asks twice does not want to wait for things to be put in order.
    if (interruption.signal.aborted) process.exit(new InterruptedError(name).exitCode);
    interruption.abort(new InterruptedError(name));
  });
}
const failWith = (error: unknown): never => {
  reportError(error, { stderr: process.stderr, environment: process.env });
  process.exit(exitCodes.failed);
};
process.on('uncaughtException', failWith);
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') failWith(error);
  interruption.abort(new InterruptedError('EPIPE'));
});
// There is nobody to tell.
process.stderr.on('error', () => {});

void runCrikit({
  arguments: process.argv.slice(2),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  signal: interruption.signal,
}).then((exitCode) => {
  process.exitCode = exitCode;
});
