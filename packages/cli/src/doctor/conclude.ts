/** What follows from all checks together: what is a failure and what can be done without, and the verdict. */
import type { Diagnosis } from '@crikit/metastore';
import type { CheckSettings } from './check-settings.js';
import type { CheckFinding, SeenEngine } from './check-task.js';
import {
  type AgentView,
  type CheckRun,
  type DoctorReport,
  type ReportedFinding,
  type Severity,
  severityRank,
} from './doctor-report.js';
import type { CheckId } from './finding-ids.js';
import type { CheckOutcome } from './run-checks.js';

export interface ConcludeOptions {
  readonly settings: CheckSettings;
  readonly limitMs: number;
  readonly nowMs: number;
}

export function conclude(outcomes: readonly CheckOutcome[], options: ConcludeOptions): DoctorReport {
  const { settings, nowMs } = options;
  const results = outcomes.flatMap(({ ended }) => (ended.kind === 'done' ? [ended.result] : []));
  const engines = results.flatMap((result) => result.engines ?? []);
  const diagnosis = results.find((result) => result.diagnosis !== undefined)?.diagnosis;
  const answering = new Set(engines.filter(({ endpoints }) => endpoints.length > 0).map(({ type }) => type));
  const found: ReportedFinding[] = outcomes.flatMap((outcome) =>
    findingsOf(outcome, options).map(({ isDispensable, ...finding }) => ({
      check: outcome.task.check,
      ...finding,
      severity: isDispensable === true && answering.size > 0 ? 'warning' : finding.severity,
    })),
  );
  found.push(...describeEngines(engines, settings));
  if (answering.size === 0 && !found.some(({ check, severity }) => check === 'engine' && severity === 'failure')) {
    found.push({
      check: 'engine',
      id: 'no-engine',
      severity: 'failure',
      message: 'No container engine was found on this node.',
      remedy:
        'Start one, or say where its socket is (DOCKER_HOST, CONTAINERD_ADDRESS); in a container, mount the directory of the socket. An engine of a third party needs --engine-package.',
    });
  }
  if (diagnosis !== undefined) found.push(...compareWithAgent(diagnosis, engines, settings.agent?.url ?? ''));

  const findings = found
    .map((finding, index) => ({ finding, index }))
    .sort((one, other) => order(one.finding) - order(other.finding) || one.index - other.index)
    .map(({ finding }) => finding);
  const severity = findings[0]?.severity ?? 'ok';
  return {
    schemaVersion: 1,
    kind: 'DoctorReport',
    verdict: describeVerdict(findings, severity, answering, diagnosis),
    severity,
    timeMs: nowMs,
    ...(settings.agent === undefined ? {} : { agent: viewOf(settings.agent.url, diagnosis) }),
    findings,
    checks: outcomes.map(describeRun),
  };
}

function viewOf(url: string, diagnosis: Diagnosis | undefined): AgentView {
  return { url, ...(diagnosis === undefined ? {} : { diagnosis }) };
}

function order({ severity, check }: ReportedFinding): number {
  return severityRank[severity] * 2 + (check === 'agent' ? 0 : 1);
}

function describeRun({ task, durationMs, ended }: CheckOutcome): CheckRun {
  const { check, subject } = task;
  return { check, ...(subject === undefined ? {} : { subject }), outcome: ended.kind, durationMs };
}

function findingsOf({ task, ended }: CheckOutcome, { limitMs }: ConcludeOptions): readonly CheckFinding[] {
  if (ended.kind === 'done') return ended.result.findings;
  const about = { severity: 'failure', ...(task.subject === undefined ? {} : { subject: task.subject }) } as const;
  if (ended.kind === 'timed-out') {
    return [
      {
        ...about,
        id: 'check-timed-out',
        message: `The check '${task.check}' did not end within ${limitMs} ms and was killed.`,
        remedy: timeoutRemedies[task.check] ?? 'Try --timeout with more seconds: the machine may be busy.',
      },
    ];
  }
  return [
    {
      ...about,
      id: 'check-crashed',
      message: `The check '${task.check}' failed itself: ${ended.message}`,
      remedy:
        task.check === 'engine'
          ? 'Report it to the makers of that engine package.'
          : 'Report it as an error of crikit; what the other checks say holds.',
    },
  ];
}

const belowHostRoot =
  'A file system below the host root hangs (NFS or FUSE, mostly): look at it by `mount` on the node.';
const timeoutRemedies: Partial<Record<CheckId, string>> = {
  engine: 'The probe of that engine hangs: look at the daemon, and at the file system that its socket is on.',
  'host-root': belowHostRoot,
  proc: belowHostRoot,
  cgroup: belowHostRoot,
  'fifo-directory': 'The file system that the socket is on hangs: look at it by `mount` on the node.',
};

function describeEngines(engines: readonly SeenEngine[], { engineTypes }: CheckSettings): ReportedFinding[] {
  const found: ReportedFinding[] = [];
  const types = new Set(engines.map(({ type }) => type));
  for (const type of types) {
    const packages = [...new Set(engines.filter((engine) => engine.type === type).map(nameOf))];
    if (packages.length < 2) continue;
    found.push({
      check: 'engine',
      id: 'engine-clash',
      severity: 'failure',
      subject: type,
      message: `Several packages bring an engine '${type}': ${packages.join(', ')}. None of them can be chosen.`,
      remedy: 'Leave all but one out.',
    });
  }
  for (const type of engineTypes) {
    if (types.has(type)) continue;
    found.push({
      check: 'engine',
      id: 'engine-not-installed',
      severity: 'failure',
      subject: type,
      message: `No package that is installed brings an engine '${type}'.`,
      remedy: 'Install one and name it by --engine-package, or correct --engine.',
    });
  }
  return found;
}

function nameOf({ packageName, packageVersion }: SeenEngine): string {
  return `${packageName} ${packageVersion}`;
}

/** Where the agent and this process meet the same engine differently, what is in the way is not the engine. */
function compareWithAgent({ findings }: Diagnosis, engines: readonly SeenEngine[], url: string): ReportedFinding[] {
  const troubled = new Set(['engine-stale', 'engine-unusable', 'engine-absent', 'no-engine']);
  return engines.flatMap(({ type, endpoints }): ReportedFinding[] => {
    const own = findings.filter(({ subject }) => subject === type || subject.startsWith(`${type}:`));
    const isLive = own.some(({ id }) => id === 'engine-live');
    const isTroubled =
      !isLive && (own.some(({ id }) => troubled.has(id)) || findings.some(({ id }) => id === 'no-engine'));
    const about = { check: 'agent', id: 'agent-differs', severity: 'warning', subject: url } as const;
    if (endpoints.length > 0 && isTroubled) {
      return [
        {
          ...about,
          message: `${type} answers here and not to the agent: the daemon is well, something between it and the agent is not.`,
          remedy:
            'Look at the mounts and rights of the agent’s container; when the socket was replaced, make the container anew and mount the socket’s directory.',
        },
      ];
    }
    if (endpoints.length === 0 && isLive) {
      return [
        {
          ...about,
          message: `${type} answers to the agent and not here: the daemon is well.`,
          remedy: 'Run the doctor as the agent’s user and with its environment, best in its container.',
        },
      ];
    }
    return [];
  });
}

function describeVerdict(
  findings: readonly ReportedFinding[],
  severity: Severity,
  answering: ReadonlySet<string>,
  diagnosis: Diagnosis | undefined,
): string {
  const worst = findings.filter((finding) => finding.severity === severity);
  const [first, ...others] = worst;
  const isAgents = diagnosis !== undefined && diagnosis.severity !== 'ok';
  const own = ((): string => {
    if (severity === 'ok') return `all is well: ${[...answering].join(', ')}`;
    const ownFirst = isAgents ? worst.find(({ check }) => check !== 'agent') : first;
    if (ownFirst === undefined) return answering.size === 0 ? '' : `here ${[...answering].join(', ')} answers`;
    const rest = isAgents ? worst.filter((finding) => finding.check !== 'agent').length - 1 : others.length;
    return `${firstSentence(ownFirst.message)}${rest <= 0 ? '' : `; and ${rest} more`}`;
  })();
  return isAgents ? [`the agent: ${diagnosis.verdict}`, own].filter((part) => part !== '').join(' — ') : own;
}

function firstSentence(text: string): string {
  return text.split(/\.(?:\s|$)/, 1)[0] ?? text;
}
