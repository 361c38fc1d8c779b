/** The files of deploy/ against what the command takes and what the documentation says. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments, parse as parseYaml } from 'yaml';
import { createProgram, type GlobalFlags } from '../create-program.js';
import { createRoutes } from './routes.js';
import { defaultServePort } from './run-serve.js';

const root = join(import.meta.dirname, '../../../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: object };
  readonly rules?: readonly unknown[];
  readonly roleRef?: { readonly name: string };
  readonly subjects?: readonly { readonly name: string; readonly namespace: string }[];
  readonly spec?: {
    readonly selector: { readonly matchLabels: object };
    readonly template: { readonly metadata: { readonly labels: object }; readonly spec: PodSpec };
  };
}

interface PodSpec {
  readonly serviceAccountName: string;
  readonly containers: readonly [Container];
  readonly volumes: readonly {
    readonly name: string;
    readonly hostPath: { readonly path: string; readonly type: string };
  }[];
}

interface Probe {
  readonly exec: { readonly command: readonly string[] };
}

interface Container {
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: object }[];
  readonly securityContext: object;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
}

function manifestsOf(flavour: string): readonly Manifest[] {
  const documents = parseAllDocuments(read(`deploy/${flavour}.yaml`), { uniqueKeys: true, strict: true });
  return documents.map((document) => {
    expect([...document.errors, ...document.warnings]).toEqual([]);
    return document.toJS() as Manifest;
  });
}

function manifestOf(flavour: string, kind: string): Manifest {
  const [found, ...others] = manifestsOf(flavour).filter((manifest) => manifest.kind === kind);
  if (found === undefined || others.length > 0) throw new Error(`${flavour} must have one ${kind}.`);
  return found;
}

function podOf(flavour: string): PodSpec {
  const { spec } = manifestOf(flavour, 'DaemonSet');
  if (spec === undefined) throw new Error('The DaemonSet has no spec.');
  return spec.template.spec;
}

describe.each(['api-server', 'kubelet'])('deploy/%s.yaml', (flavour) => {
  test('has what a DaemonSet with rights needs, all of it fitting together', () => {
    const all = manifestsOf(flavour);
    expect(all.map(({ apiVersion, kind }) => `${apiVersion} ${kind}`)).toEqual([
      'v1 Namespace',
      'v1 ServiceAccount',
      'rbac.authorization.k8s.io/v1 ClusterRole',
      'rbac.authorization.k8s.io/v1 ClusterRoleBinding',
      'apps/v1 DaemonSet',
    ]);
    const [namespace, account, role, binding, daemonSet] = all;
    expect(account?.metadata.namespace).toBe(namespace?.metadata.name);
    expect(daemonSet?.metadata.namespace).toBe(namespace?.metadata.name);
    expect(binding?.roleRef?.name).toBe(role?.metadata.name);
    expect(binding?.subjects).toMatchObject([{ name: account?.metadata.name, namespace: namespace?.metadata.name }]);
    expect(daemonSet?.spec?.template.spec.serviceAccountName).toBe(account?.metadata.name);
    expect(daemonSet?.spec?.template.metadata.labels).toMatchObject(daemonSet?.spec?.selector.matchLabels ?? {});
  });

  test('starts the command with words that it takes', async () => {
    let flags: GlobalFlags | undefined;
    const program = createProgram(async (given) => {
      flags = given;
    });
    await program.exitOverride().parseAsync([...podOf(flavour).containers[0].args], { from: 'user' });
    expect(flags?.pods).toBe(flavour);
  });

  test('asks for no more rights than documented', () => {
    const pod = podOf(flavour);
    expect(Object.keys(pod).filter((key) => key.startsWith('host'))).toEqual([]);
    expect(pod.containers).toHaveLength(1);
    expect(pod.containers[0].securityContext).toEqual({
      runAsUser: 0,
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['SYS_PTRACE'] },
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(manifestOf(flavour, 'ClusterRole').rules).toEqual(
      flavour === 'kubelet'
        ? [{ apiGroups: [''], resources: ['nodes/pods'], verbs: ['get'] }]
        : [{ apiGroups: [''], resources: ['pods', 'nodes'], verbs: ['get', 'list', 'watch'] }],
    );
  });

  test('mounts directories, read-only, below the host root, and never a socket', () => {
    const { volumes, containers } = podOf(flavour);
    const [{ volumeMounts, env }] = containers;
    const hostRoot = env.find(({ name }) => name === 'HOSTFS')?.value;
    expect(volumeMounts.map(({ name }) => name)).toEqual(volumes.map(({ name }) => name));
    for (const { name, mountPath, readOnly } of volumeMounts) {
      const path = volumes.find((volume) => volume.name === name)?.hostPath;
      expect(path).toEqual({ path: mountPath.slice(hostRoot?.length), type: 'Directory' });
      expect(mountPath.startsWith(`${hostRoot}/`)).toBe(true);
      expect(readOnly).toBe(true);
      expect(mountPath).not.toContain('.sock');
    }
  });

  test('probes paths that are answered without a token, on the port that is the default', () => {
    const open = createRoutes({ store: {} as never, page: {} as never, metrics: {} as never }).filter(
      ({ isOpen }) => isOpen,
    );
    const { livenessProbe, readinessProbe } = podOf(flavour).containers[0];
    const addresses = [livenessProbe, readinessProbe].map(
      ({ exec }) => new URL(/'(http:[^']+)'/.exec(exec.command.join(' '))?.[1] ?? ''),
    );
    expect(addresses.map(({ pathname }) => pathname)).toEqual(open.map(({ path }) => path));
    for (const { port } of addresses) expect(port).toBe(String(defaultServePort));
  });

  test('has the variables that the documentation tells of', () => {
    const documented = [...read('docs/kubernetes.md').matchAll(/^```yaml\n(.*?)^```$/gms)]
      .flatMap(([, text = '']) => parseAllDocuments(text).map((document) => document.toJS() as Manifest))
      .find((manifest) => manifest.kind === 'DaemonSet');
    const { env } = podOf(flavour).containers[0];
    expect(env.slice(0, -1)).toEqual(documented?.spec?.template.spec.containers[0].env);
    expect(env.at(-1)?.name).toBe('CRIKIT_TOKEN');
  });
});

test('the two flavours differ in where pods come from and in nothing else', () => {
  const withoutSource = (flavour: string): string =>
    JSON.stringify(manifestsOf(flavour).filter(({ kind }) => kind !== 'ClusterRole')).replace(
      `"${flavour}"`,
      '"source"',
    );
  expect(withoutSource('kubelet')).toBe(withoutSource('api-server'));
});

test('the image has a Node.js that the command runs on, installs the command, and starts it', () => {
  const lines = read('deploy/Dockerfile')
    .split('\n')
    .filter((line) => /^[A-Z]+ /.test(line));
  const { engines, name, bin } = JSON.parse(read('packages/cli/package.json'));
  const [, major] = /^FROM node:(\d+)-/.exec(lines[0] ?? '') ?? [];
  expect(Number(major)).toBeGreaterThanOrEqual(Number(/\d+/.exec(engines.node)?.[0]));
  expect(lines.find((line) => line.startsWith('RUN npm install'))).toContain('--global');
  expect(read('deploy/Dockerfile')).toContain(`"${name}@`);
  const [entrypoint] = JSON.parse(lines.find((line) => line.startsWith('ENTRYPOINT'))?.slice(11) ?? '[]');
  expect(Object.keys(bin)).toContain(entrypoint);
});

test('the snippets of its README are YAML', () => {
  const snippets = [...read('deploy/README.md').matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = '']) => text);
  expect(snippets).toHaveLength(2);
  for (const snippet of snippets) expect(parseYaml(snippet)).toBeTypeOf('object');
});
