/**
 * The sessions in the docs are run and compared. Ids, times, versions, pids and paths of the lab are different each time and
 * stand for one another; everything else has to be as it is written. `CRIKIT_UPDATE_TRANSCRIPTS=1` writes what came.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type CriPod, createCriPod } from '../../../tools/lab/cri-pods.mjs';
import { createKubeletStylePod, IMAGES, removeContainer, runContainer } from '../../../tools/lab/lab.mjs';
import { describeWithEngine, type LabEngine } from '../../../tools/test-support/lab.js';
import { programPath, runCrikitProcess } from './crikit-process.js';

const page = new URL('../../../docs/cli.md', import.meta.url);
const fence = /^```console\n([\s\S]*?)^```$/gm;

interface Step {
  readonly command: string;
  readonly output: string;
}

function stepsOf(block: string): readonly Step[] {
  return block
    .split(/^\$ /m)
    .slice(1)
    .map((text) => {
      const [command = '', ...lines] = text.split('\n');
      return { command, output: lines.join('\n') };
    });
}

/** What may differ, the same for all. */
function normalize(text: string): string {
  return text
    .replace(/(?<![0-9a-f])[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])/g, 'UUID')
    .replace(/\b(?=[0-9a-f]*\d)(?:[0-9a-f]{64}|[0-9a-f]{12})\b/g, 'ID')
    .replace(/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.]*(Z|[+-]\d\d:\d\d)?/g, 'TIME')
    .replace(/\b(\d+[smhd]){1,2}(?= |$)/gm, 'AGE')
    .replace(/\/\S+\.sock\b/g, 'SOCKET')
    .replace(/\/\S+-json\.log\b/g, 'LOG')
    .replace(/\/\S+\/merged\b/g, 'ROOT')
    .replace(/\b\d+\.\d+\.\d+\S*/g, 'VERSION')
    .replace(/\b\d{3,}\b/g, 'NUMBER')
    .replace(/ +/g, ' ')
    .replace(/ $/gm, '')
    .trim();
}

describeWithEngine('docker', 'the sessions in the docs', (docker) =>
  describeWithEngine('containerd', 'of both engines', (containerd) => runSessions(docker, containerd)),
);

function runSessions({ socketPath, dataRoot }: LabEngine, daemon: LabEngine): void {
  const docker = { ...process.env, DOCKER_HOST: `unix://${socketPath}` };
  let folder: string;
  const cleanUps: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'crikit-transcripts-'));
    mkdirSync(join(folder, 'bin'));
    mkdirSync(join(folder, 'work', 'site'), { recursive: true });
    writeFileSync(join(folder, 'work', 'site', 'index.html'), '<h1>Hello</h1>\n');
    writeFileSync(join(folder, 'bin', 'crikit'), `#!/bin/sh\nexec "${process.execPath}" "${programPath}" "$@"\n`, {
      mode: 0o755,
    });
    // A machine without jq is still to run this: it does what the page asks of it.
    const jq = `const { items } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
      for (const pod of items) console.log(pod.namespace + '/' + pod.name, pod.phase, pod.containers.length);`;
    writeFileSync(
      join(folder, 'bin', 'jq'),
      `#!/bin/sh\nexec "${process.execPath}" -e '${jq.replaceAll("'", "'\\''")}'\n`,
      { mode: 0o755 },
    );

    const script = 'echo "listening on 8080"; echo "no certificate: plain HTTP" >&2; exec sleep 1000000';
    const web = await createKubeletStylePod(socketPath, {
      namespace: 'shop',
      name: 'web-0',
      labels: { app: 'web' },
      containers: [{ name: 'main', image: IMAGES.users, cmd: ['sh', '-c', script] }, { name: 'log-sidecar' }],
    });
    cleanUps.push(() => web.remove());
    const { id } = await runContainer(socketPath, { name: 'backup', image: IMAGES.users, env: { PASSWORD: 'secret' } });
    cleanUps.push(() => removeContainer(socketPath, id));
    const db: CriPod = await createCriPod(daemon, {
      namespace: 'shop',
      name: 'db-0',
      labels: { app: 'db' },
      containers: [
        { name: 'main', cmd: ['sh', '-c', 'echo starting; echo recovering; echo ready; exec sleep 1000000'] },
      ],
    });
    cleanUps.push(() => db.remove());
    // What is compared must be there: output takes a moment to reach the log.
    await vi.waitFor(
      async () => {
        const log = await runCrikitProcess(['logs', 'shop/db-0'], { CONTAINERD_ADDRESS: daemon.socketPath });
        expect(log.stdout).toContain('ready');
        expect((await runCrikitProcess(['logs', 'shop/web-0'], docker)).stderr).toContain('plain HTTP');
      },
      { timeout: 20_000, interval: 50 },
    );
  });
  afterAll(async () => {
    for (const cleanUp of cleanUps.reverse()) await cleanUp();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Runs the commands of a block in one shell, and gives what each printed. */
  function run(steps: readonly Step[]): readonly string[] {
    const mark = '=== end of a step ===';
    const script = steps.map(({ command }) => `${command}\n{ code=$?; echo '${mark}'; (exit $code); }`).join('\n');
    const { HOME } = process.env;
    const output = execFileSync('bash', ['-c', `exec 2>&1\n${script}\nexit 0`], {
      cwd: join(folder, 'work'),
      env: {
        HOME,
        PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
        DOCKER_HOST: `unix://${socketPath}`,
        CONTAINERD_ADDRESS: daemon.socketPath,
      },
    }).toString();
    return output.split(`${mark}\n`).slice(0, -1);
  }

  /** As a reader's machine would show it. */
  function generalize(output: string): string {
    return output
      .replaceAll(socketPath, '/run/docker.sock')
      .replaceAll(daemon.socketPath, '/run/containerd/containerd.sock')
      .replaceAll(dataRoot, '/var/lib/docker');
  }

  test('print what they are said to print', () => {
    const text = readFileSync(page, 'utf8');
    const blocks = [...text.matchAll(fence)].map(([, block = '']) => stepsOf(block));
    expect(blocks.length).toBeGreaterThan(9);
    const outputs = blocks.map(run);
    if (process.env.CRIKIT_UPDATE_TRANSCRIPTS) {
      let index = 0;
      const updated = text.replace(fence, () => {
        const steps = blocks[index] ?? [];
        const printed = outputs[index] ?? [];
        index += 1;
        return `\`\`\`console\n${steps.map(({ command }, step) => `$ ${command}\n${generalize(printed[step] ?? '')}`).join('')}\`\`\``;
      });
      writeFileSync(page, updated);
      return;
    }
    for (const [index, steps] of blocks.entries()) {
      for (const [step, { command, output }] of steps.entries()) {
        expect(normalize(outputs[index]?.[step] ?? ''), command).toBe(normalize(output));
      }
    }
  }, 180_000);
}
