/** The rights that deploy/ asks for, tried in a container that has exactly them. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { dockerRequest } from '../../../tools/lab/docker-api.mjs';
import { removeContainer, runContainer } from '../../../tools/lab/lab.mjs';
import { describeWithDocker } from '../../../tools/test-support/lab.js';

const root = join(import.meta.dirname, '../../..');

interface AgentContainer {
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly securityContext: {
    readonly runAsUser: number;
    readonly readOnlyRootFilesystem: boolean;
    readonly capabilities: { readonly drop: readonly string[]; readonly add: readonly string[] };
  };
}

const documents = parseAllDocuments(readFileSync(join(root, 'deploy/api-server.yaml'), 'utf8'));
const daemonSet = documents.at(-1)?.toJS() as {
  readonly spec: { readonly template: { readonly spec: { readonly containers: readonly [AgentContainer] } } };
};
const [agent] = daemonSet.spec.template.spec.containers;

type Found = Readonly<
  Record<string, { access: string; reason: string; passwd: boolean | string; processes: number; byPid?: string }>
>;

describeWithDocker('an agent with the rights of deploy/', (docker) => {
  const made: string[] = [];
  let out: string;

  beforeEach(() => {
    out = mkdtempSync(join(tmpdir(), 'crikit-rights-'));
  });

  afterEach(async () => {
    for (const id of made.splice(0)) await removeContainer(docker.socketPath, id);
    rmSync(out, { recursive: true, force: true });
  });

  /** Node.js and this repository come from this machine; all else is as in the DaemonSet, with Docker's directory. */
  async function lookAround(capabilities: readonly string[]): Promise<Found> {
    const hostRoot = agent.env.find(({ name }) => name === 'HOSTFS')?.value ?? '';
    const program = join(import.meta.dirname, 'print-host-access.mjs');
    const { readOnlyRootFilesystem, capabilities: wanted, runAsUser } = agent.securityContext;
    const { id } = await runContainer(docker.socketPath, {
      name: 'agent',
      user: String(runAsUser),
      cmd: ['sh', '-c', `'${process.execPath}' '${program}' > /out/result 2> /out/errors`],
      binds: [
        `${out}:/out`,
        ...['/usr:/usr:ro', '/usr/lib:/lib:ro', '/usr/lib64:/lib64:ro', `${root}:${root}:ro`],
        `${dirname(process.execPath)}:${dirname(process.execPath)}:ro`,
        `/proc:${hostRoot}/proc:ro`,
        `${docker.directory}:${hostRoot}/run/docker:ro`,
      ],
      env: { HOSTFS: hostRoot, DOCKER_HOST: `unix://${hostRoot}/run/docker/docker.sock` },
      hostConfig: {
        CapDrop: wanted.drop,
        CapAdd: capabilities,
        ReadonlyRootfs: readOnlyRootFilesystem,
        SecurityOpt: ['no-new-privileges'],
      },
    });
    made.push(id);
    await dockerRequest(docker.socketPath, 'POST', `/containers/${id}/wait`);
    expect(readFileSync(join(out, 'errors'), 'utf8')).toBe('');
    return JSON.parse(readFileSync(join(out, 'result'), 'utf8')) as Found;
  }

  test('looks into containers of any rights and user, and without SYS_PTRACE into none', async () => {
    for (const [name, options] of Object.entries({
      'with-defaults': {},
      'with-sys-admin': { hostConfig: { CapAdd: ['SYS_ADMIN'] } },
      'with-user-1000': { user: '1000' },
    })) {
      made.push((await runContainer(docker.socketPath, { name, ...options })).id);
    }
    const allowed = await lookAround(agent.securityContext.capabilities.add);
    for (const name of ['with-defaults', 'with-sys-admin', 'with-user-1000']) {
      expect(allowed[name]).toMatchObject({ access: 'files', passwd: true, processes: 1, byPid: name });
      expect(allowed[name]?.reason).toContain('pid namespace');
    }
    await removeContainer(docker.socketPath, made.pop() ?? '');
    const denied = await lookAround([]);
    for (const name of ['with-defaults', 'with-sys-admin', 'with-user-1000']) {
      expect(denied[name]).toMatchObject({ access: 'none', passwd: 'PERMISSION', processes: 1, byPid: name });
    }
  });
});
