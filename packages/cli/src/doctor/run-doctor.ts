import { fileURLToPath } from 'node:url';
import type { CommandContext } from '../command-context.js';
import { exitCodes } from '../exit-codes.js';
import { listEnginePackages } from '../load-engines.js';
import { type CheckSettings, defaultServiceAccountDirectory } from './check-settings.js';
import type { CheckTask, EnginePackage, SeenEngine } from './check-task.js';
import { conclude } from './conclude.js';
import type { DoctorReport } from './doctor-report.js';
import { type CheckOutcome, createCheckRunner } from './run-checks.js';
import { writeReport } from './write-report.js';

export interface DoctorRequest {
  /** URL of a running `crikit serve`, whose own view is shown too. */
  readonly server?: string;
  /** The token that it printed. Default: CRIKIT_TOKEN of the environment, else none is shown to it. */
  readonly token?: string;
  /** The longest time for one check. Default: 2 s. */
  readonly timeoutMs?: number;
}

const defaultLimitMs = 2_000;

/**
 * Looks at everything that can keep containers from being seen, and prints what it finds. Exit code 0 when nothing has
 * failed, warnings or not; 1 when something has. Rejects only with the reason of the context's signal.
 */
export async function runDoctor(context: CommandContext, request: DoctorRequest): Promise<number> {
  const { options, configuration = {}, environment, signal } = context;
  const { nodeName, kubeconfig, containerdNamespace = [] } = options;
  const { kubelet } = configuration;
  const token = request.token ?? (environment.CRIKIT_TOKEN || undefined);
  const settings: CheckSettings = {
    hostRoot: options.hostRoot,
    engineTypes: options.engine,
    containerdNamespaces: containerdNamespace,
    pods: options.pods,
    serviceAccountDirectory: defaultServiceAccountDirectory,
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(kubelet === undefined ? {} : { kubelet }),
    ...(request.server === undefined
      ? {}
      : { agent: { url: request.server, ...(token === undefined ? {} : { token }) } }),
  };
  const report = await examine({
    settings,
    enginePackages: listEnginePackages(options, process.cwd()),
    environment,
    limitMs: request.timeoutMs ?? defaultLimitMs,
    signal,
    programPath: fileURLToPath(new URL('./doctor-check-process.js', import.meta.url)),
  });
  await writeReport(context, report);
  return report.severity === 'failure' ? exitCodes.failed : exitCodes.ok;
}

export interface ExamineOptions {
  readonly settings: CheckSettings;
  readonly enginePackages: readonly EnginePackage[];
  readonly environment: NodeJS.ProcessEnv;
  readonly limitMs: number;
  readonly signal: AbortSignal;
  /** The program in which checks run. */
  readonly programPath: string;
}

export async function examine(options: ExamineOptions): Promise<DoctorReport> {
  const { settings, limitMs } = options;
  const runner = createCheckRunner(options);
  try {
    const first = await runner.run(listFirstTasks(options));
    const second = await runner.run(listSecondTasks(first));
    return conclude([...first, ...second], { settings, limitMs, nowMs: Date.now() });
  } finally {
    runner.close();
  }
}

function listFirstTasks({ settings, enginePackages, environment }: ExamineOptions): readonly CheckTask[] {
  const { pods, agent, kubelet } = settings;
  const isInCluster = Boolean(environment.KUBERNETES_SERVICE_HOST);
  return [
    ...(agent === undefined ? [] : [{ check: 'agent' } as const]),
    ...enginePackages.map(
      (enginePackage) => ({ check: 'engine', subject: enginePackage.name, enginePackage }) as const,
    ),
    ...(pods === 'api-server' || (pods === 'auto' && isInCluster) ? [{ check: 'api-server' } as const] : []),
    ...(pods === 'kubeconfig' ? [{ check: 'kubeconfig' } as const] : []),
    ...(pods === 'kubelet' || (pods === 'auto' && (isInCluster || kubelet !== undefined))
      ? [{ check: 'kubelet' } as const]
      : []),
    { check: 'host-root' },
    { check: 'proc' },
    { check: 'cgroup' },
    { check: 'nsenter' },
    { check: 'node' },
  ];
}

/** What can be looked at only when it is known which engines answer where. */
function listSecondTasks(outcomes: readonly CheckOutcome[]): readonly CheckTask[] {
  const engines = outcomes.flatMap(({ ended }): readonly SeenEngine[] =>
    ended.kind === 'done' ? (ended.result.engines ?? []) : [],
  );
  const [socketPath] = engines.find(({ packageName }) => packageName === '@crikit/engine-containerd')?.endpoints ?? [];
  return [
    ...(socketPath === undefined
      ? []
      : [
          { check: 'containerd-namespaces', subject: socketPath } as const,
          { check: 'fifo-directory', subject: socketPath } as const,
        ]),
    {
      check: 'clock',
      endpoints: engines.flatMap(({ endpoints }) => endpoints).filter((endpoint) => endpoint.startsWith('tcp://')),
    },
  ];
}
