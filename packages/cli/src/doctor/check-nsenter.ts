import { spawn } from 'node:child_process';
import type { CheckContext, CheckResult } from './check-task.js';

/** Whether the network of a pod can be entered, which is what dialling does: tried on this process's own. */
export async function checkNsenter({ environment, signal }: CheckContext): Promise<CheckResult> {
  const outcome = await tryToEnter(environment, signal);
  const fallBack = 'Connections into pods go through a command in the container, where it has one.';
  if (outcome === 'works') {
    return {
      findings: [{ id: 'nsenter-works', severity: 'ok', message: 'Networks of pods can be entered by nsenter.' }],
    };
  }
  if (outcome === 'missing') {
    return {
      findings: [
        {
          id: 'nsenter-missing',
          severity: 'warning',
          message: `There is no nsenter in PATH. ${fallBack}`,
          remedy: 'Install util-linux beside this program.',
        },
      ],
    };
  }
  return {
    findings: [
      {
        id: 'nsenter-not-permitted',
        severity: 'warning',
        message: `This process may not enter the network of a pod (${outcome.said}). ${fallBack}`,
        remedy: 'Run it as root with the capability SYS_ADMIN (and SYS_PTRACE, to find the network).',
      },
    ],
  };
}

function tryToEnter(
  environment: CheckContext['environment'],
  signal: AbortSignal,
): Promise<'works' | 'missing' | { readonly said: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('nsenter', ['--net=/proc/self/ns/net', '--', process.execPath, '--version'], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: environment.PATH },
      cwd: '/',
      signal,
      killSignal: 'SIGKILL',
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(0, 500);
    });
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') resolve('missing');
      else reject(error);
    });
    child.once('close', (code) => resolve(code === 0 ? 'works' : { said: said.trim() || `exit code ${code}` }));
  });
}
