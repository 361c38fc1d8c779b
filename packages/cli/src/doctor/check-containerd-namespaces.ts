import type { CheckContext, CheckFinding, CheckResult } from './check-task.js';
import { countContainersByNamespace } from './containerd-request.js';

/** What the engine package looks at when nothing else is said. */
const defaultNamespaces: readonly string[] = ['k8s.io'];
/** dockerd's own containers, which the engine for Docker shows. */
const namespaceOfDocker = 'moby';

/** Whether the containers are in the namespaces that are looked at. */
export async function checkContainerdNamespaces(socketPath: string, context: CheckContext): Promise<CheckResult> {
  const { containerdNamespaces } = context.settings;
  const namespaces = containerdNamespaces.length === 0 ? defaultNamespaces : containerdNamespaces;
  let counts: ReadonlyMap<string, number>;
  try {
    counts = await countContainersByNamespace(socketPath, context.signal);
  } catch (error) {
    return {
      findings: [
        {
          id: 'containerd-namespaces-unknown',
          severity: 'warning',
          subject: socketPath,
          message: `The namespaces of containerd cannot be listed: ${(error as Error).message}.`,
          remedy: 'Look at them by `ctr namespaces list`.',
        },
      ],
    };
  }
  return { findings: [describeNamespaces(socketPath, namespaces, counts)] };
}

export function describeNamespaces(
  socketPath: string,
  namespaces: readonly string[],
  counts: ReadonlyMap<string, number>,
): CheckFinding {
  const about = { subject: socketPath };
  const looked = namespaces.map((name) => `${name} (${counts.get(name) ?? 0})`).join(', ');
  const others = [...counts].filter(
    ([name, containers]) => containers > 0 && name !== namespaceOfDocker && !namespaces.includes(name),
  );
  const names = others.map(([name]) => name);
  const told = others.map(([name, containers]) => `${name} (${containers})`).join(', ');
  const remedy = `Look at ${names.length === 1 ? 'it' : 'them'} too: ${[...namespaces, ...names]
    .map((name) => `--containerd-namespace ${name}`)
    .join(' ')}, or containerdNamespaces in the configuration.`;
  if (others.length === 0) {
    const message = `Containers are looked for in the namespaces ${looked}; there are none in others but Docker’s own.`;
    return { ...about, id: 'containerd-namespaces-right', severity: 'ok', message };
  }
  if (namespaces.every((name) => (counts.get(name) ?? 0) === 0)) {
    return {
      ...about,
      id: 'containerd-namespace-wrong',
      severity: 'failure',
      message: `Containers are looked for in the namespace ${namespaces.join(', ')}, which has none; there are some in ${told}.`,
      remedy,
    };
  }
  return {
    ...about,
    id: 'containerd-namespace-other',
    severity: 'warning',
    message: `Containers are looked for in the namespaces ${looked}; those in ${told} are not seen.`,
    remedy,
  };
}
