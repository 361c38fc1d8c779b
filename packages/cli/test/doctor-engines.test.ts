/** The doctor on real daemons, with faults that are planted in them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  createContainerdDaemon,
  createDockerDaemon,
  ensureContainerdImages,
  ensureImages,
  IMAGES,
  runContainer,
  runContainerdContainer,
} from '../../../tools/lab/lab.mjs';
import { describeWithDocker, describeWithEngine } from '../../../tools/test-support/lab.js';
import type { DoctorReport } from '../src/doctor/doctor-report.js';
import { objectionsToReport } from '../src/doctor/read-guide-in-test.js';
import { programPath } from './crikit-process.js';

interface Around {
  /** What runs the program: `setpriv` and its arguments, say. */
  readonly before?: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
}

/** With more time for each check than the 2 s that are enough on a quiet machine. */
async function doctor(
  words: readonly string[],
  { before = [], environment }: Around,
  timeoutSeconds = 8,
): Promise<DoctorReport> {
  const { PATH, HOME } = process.env;
  const [command = '', ...rest] = [
    ...before,
    process.execPath,
    programPath,
    'doctor',
    ...words,
    '--timeout',
    String(timeoutSeconds),
    '-o',
    'json',
  ];
  const child = spawn(command, rest, { env: { PATH, HOME, ...environment }, stdio: ['ignore', 'pipe', 'inherit'] });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const [exitCode] = await once(child, 'close');
  const report = JSON.parse(Buffer.concat(chunks).toString()) as DoctorReport;
  expect(objectionsToReport(report)).toEqual([]);
  expect(exitCode).toBe(report.severity === 'failure' ? 1 : 0);
  return report;
}

const find = (report: DoctorReport, id: string) => report.findings.find((finding) => finding.id === id);
const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all'];
const withoutPtrace = ['setpriv', '--bounding-set=-sys_ptrace', '--inh-caps=-sys_ptrace'];

describeWithDocker('the doctor on dockerd', () => {
  let daemon: ReturnType<typeof createDockerDaemon>;
  let folder: string;
  let environment: NodeJS.ProcessEnv;
  const onDocker = ['--engine', 'docker'];

  beforeAll(async () => {
    daemon = createDockerDaemon({ name: 'cli-doctor', liveRestore: true });
    await daemon.start();
    await ensureImages(daemon);
    await runContainer(daemon.socketPath, { image: IMAGES.busybox });
    folder = mkdtempSync(join(tmpdir(), 'crikit-doctor-'));
    environment = { DOCKER_HOST: `unix://${daemon.socketPath}` };
  });
  afterAll(async () => {
    await daemon?.destroy();
    rmSync(folder, { recursive: true, force: true });
  });

  test('finds nothing wrong where nothing is', async () => {
    const report = await doctor(onDocker, { environment });
    expect(report.findings.filter(({ severity }) => severity === 'failure')).toEqual([]);
    expect(find(report, 'engine-answers')).toMatchObject({ subject: daemon.socketPath });
    expect(find(report, 'proc-rights-full')).toBeDefined();
    expect(find(report, 'cgroup-known')?.message).toMatch(/driver (cgroupfs|systemd)/);
    expect(report.severity === 'ok' ? report.verdict : 'all is well: docker').toBe('all is well: docker');
  });

  test('finds that a user may not open the socket, whose it is, and that processes are out of reach', async () => {
    const report = await doctor(onDocker, { before: asNobody, environment });
    expect(find(report, 'socket-no-right')).toMatchObject({
      severity: 'failure',
      subject: daemon.socketPath,
      remedy: expect.stringContaining('root'),
    });
    expect(find(report, 'proc-rights-missing')).toMatchObject({
      severity: 'warning',
      remedy: expect.stringContaining('SYS_PTRACE'),
    });
  });

  test('finds that the capability for looking into processes is missing', async () => {
    const report = await doctor(onDocker, { before: withoutPtrace, environment });
    expect(find(report, 'proc-rights-partial')).toMatchObject({
      severity: 'warning',
      message: expect.stringContaining('without the capability SYS_PTRACE'),
      remedy: expect.stringContaining('SYS_PTRACE'),
    });
    expect(find(report, 'engine-answers')).toBeDefined();
  });

  test('finds that networks of pods may not be entered', async () => {
    const before = ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin'];
    expect(find(await doctor(onDocker, { before, environment }), 'nsenter-not-permitted')).toMatchObject({
      severity: 'warning',
      remedy: expect.stringContaining('SYS_ADMIN'),
    });
  });

  /** In namespaces of its own, as in a container; `$0` and what follows is the program. */
  const inNamespaces = (prepare: string, ...flags: string[]): readonly string[] => [
    ...['unshare', '--mount', ...flags, 'sh', '-c', `${prepare} && exec "$0" "$@"`],
  ];

  test('finds that the host root was not given, or is not kept up to date', async () => {
    const inContainer = { ...environment, container: 'docker' };
    const notGiven = await doctor(onDocker, { before: inNamespaces('true'), environment: inContainer });
    expect(find(notGiven, 'host-root-not-given')?.remedy).toContain('HOSTFS');
    const root = join(folder, 'hostfs');
    mkdirSync(root);
    const mounted = inNamespaces(`mount --rbind / ${root}`);
    const report = await doctor([...onDocker, '--host-root', root], { before: mounted, environment: inContainer });
    expect(find(report, 'host-root-not-propagated')?.remedy).toContain('HostToContainer');
    expect(find(report, 'host-root-seen')).toBeDefined();
    expect(find(report, 'host-root-not-given')).toBeUndefined();
  });

  test('finds that the node’s processes are not seen, or hidden', async () => {
    const before = inNamespaces('true', '--pid', '--fork', '--mount-proc');
    const report = await doctor(onDocker, { before, environment });
    expect(find(report, 'pid-namespace-private')?.remedy).toContain('hostPID');
    const hidden = [...inNamespaces('mount -t proc -o hidepid=2 proc /proc'), ...asNobody];
    expect(find(await doctor(onDocker, { before: hidden, environment }), 'proc-hidden')).toMatchObject({
      severity: 'warning',
      remedy: expect.stringContaining('SYS_PTRACE'),
    });
  });

  test('is not held up by a file system that hangs', async ({ skip }) => {
    if (!existsSync('/dev/fuse')) skip('there is no /dev/fuse');
    const hung = join(folder, 'hung');
    mkdirSync(hung);
    // Nobody serves what is asked of that file system, so whoever looks at it waits for ever.
    const before = inNamespaces(
      `exec 3<>/dev/fuse && mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 none ${hung}`,
    );
    const around = { before, environment: { DOCKER_HOST: `unix://${hung}/docker.sock` } };
    const report = await doctor([...onDocker, '--host-root', hung], around, 1);
    const late = report.findings.filter(({ id }) => id === 'check-timed-out');
    expect(late.map(({ check }) => check)).toEqual(expect.arrayContaining(['engine', 'host-root', 'proc']));
    for (const { remedy } of late) expect(remedy).toContain('file system');
    expect(report.checks.some(({ check, outcome }) => check === 'node' && outcome === 'done')).toBe(true);
  });

  test('finds a daemon that hangs', async () => {
    await daemon.kill('SIGSTOP');
    try {
      const report = await doctor(onDocker, { environment });
      expect(find(report, 'daemon-hung')).toMatchObject({
        severity: 'failure',
        subject: daemon.socketPath,
        remedy: expect.stringContaining('restart it'),
      });
    } finally {
      await daemon.kill('SIGCONT');
    }
  });

  test('tells a socket that was replaced behind its mount from a daemon that is stopped, and shows the agent’s view', async () => {
    const mounted = join(folder, 'docker.sock');
    writeFileSync(mounted, '');
    // A mount namespace stands for the agent's container: the socket alone is mounted into it.
    const script = `mount --bind "$SOCKET" "$MOUNTED" && "$NODE" "$PROGRAM" serve --engine docker --port 0 & wait`;
    const agent = spawn('unshare', ['--mount', 'sh', '-c', script], {
      env: {
        ...process.env,
        DOCKER_HOST: `unix://${mounted}`,
        CRIKIT_TOKEN: '0123456789abcdef0123456789abcdef',
        SOCKET: daemon.socketPath,
        MOUNTED: mounted,
        NODE: process.execPath,
        PROGRAM: programPath,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    try {
      const [line] = (await once(createInterface(agent.stdout), 'line')) as [string];
      const [url = ''] = /http:\/\/127\.0\.0\.1:\d+/.exec(line) ?? [];
      const asAgent = {
        before: ['nsenter', `--mount=/proc/${agent.pid}/ns/mnt`, '--'],
        environment: { DOCKER_HOST: `unix://${mounted}` },
      };
      expect(find(await doctor(onDocker, asAgent), 'socket-mounted-as-file')).toMatchObject({ severity: 'warning' });

      await daemon.kill('SIGKILL');
      const stopped = await doctor(onDocker, { environment });
      expect(find(stopped, 'daemon-stopped')).toMatchObject({ severity: 'failure', subject: daemon.socketPath });

      await daemon.start();
      const inAgent = await doctor(onDocker, asAgent);
      expect(find(inAgent, 'socket-dead-inode')).toMatchObject({
        severity: 'failure',
        subject: mounted,
        remedy: expect.stringContaining('mount the directory'),
      });
      expect(find(inAgent, 'daemon-stopped')).toBeUndefined();

      const words = [...onDocker, '--server', url, '--token', '0123456789abcdef0123456789abcdef'];
      const beside = await doctor(words, { environment });
      expect(beside.agent?.diagnosis?.findings[0]).toMatchObject({ id: 'engine-stale' });
      expect(beside.verdict).toMatch(
        /^the agent: docker: stale \d+ (ms|s|min) since ECONNREFUSED; the socket was replaced — /,
      );
      expect(find(beside, 'agent-differs')?.message).toContain('docker answers here and not to the agent');

      const refused = await doctor([...onDocker, '--server', url, '--token', 'wrong'], { environment });
      expect(find(refused, 'agent-refused')?.remedy).toContain('--token');
    } finally {
      process.kill(-(agent.pid ?? 0), 'SIGTERM');
      await once(agent, 'close');
    }
  });
});

describeWithEngine('containerd', 'the doctor on containerd', () => {
  let daemon: ReturnType<typeof createContainerdDaemon>;
  let environment: NodeJS.ProcessEnv;
  const onContainerd = ['--engine', 'containerd'];

  beforeAll(async () => {
    daemon = createContainerdDaemon({ name: 'cli-doctor', cri: false });
    await daemon.start();
    await ensureContainerdImages(daemon);
    await runContainerdContainer(daemon, { id: 'lost', namespace: 'default' });
    environment = { CONTAINERD_ADDRESS: daemon.socketPath };
  });
  afterAll(async () => {
    await daemon?.destroy();
  });

  test('finds that the containers are in another namespace than is looked at, and says how to look there', async () => {
    const report = await doctor(onContainerd, { environment });
    expect(find(report, 'containerd-namespace-wrong')).toMatchObject({
      severity: 'failure',
      message: expect.stringContaining('there are some in default (1)'),
      remedy: expect.stringContaining('--containerd-namespace default'),
    });
    expect(find(report, 'fifo-directory-usable')).toBeDefined();
    const right = await doctor([...onContainerd, '--containerd-namespace', 'default'], { environment });
    expect(find(right, 'containerd-namespaces-right')).toBeDefined();
  });

  test('finds a daemon that hangs, and makes nothing in its folder', async () => {
    await daemon.kill('SIGSTOP');
    try {
      expect(find(await doctor(onContainerd, { environment }), 'daemon-hung')).toMatchObject({
        severity: 'failure',
        subject: daemon.socketPath,
      });
    } finally {
      await daemon.kill('SIGCONT');
    }
    const before = readdirSync(daemon.directory).sort();
    expect(find(await doctor(onContainerd, { environment }), 'engine-answers')).toBeDefined();
    expect(readdirSync(daemon.directory).sort()).toEqual(before);
  });
});
