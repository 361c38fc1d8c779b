/** One engine package: whether it loads, and what became of each attempt of its engines' probes. */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import {
  ENGINE_CONTRACT_VERSION,
  type EngineDefinition,
  hostPath,
  type ProbeAttempt,
  type ProbeReport,
  registeredEngines,
  silentLogger,
} from '@crikit/core';
import { findSocketMount, type SocketMount } from '@crikit/metastore';
import type { CheckContext, CheckFinding, CheckResult, EnginePackage, SeenEngine } from './check-task.js';
import { readMountinfo } from './read-mountinfo.js';

export async function checkEngine({ name, specifier }: EnginePackage, context: CheckContext): Promise<CheckResult> {
  const before = registeredEngines();
  try {
    await import(specifier);
  } catch (error) {
    return {
      findings: [
        {
          id: 'engine-package-broken',
          severity: 'failure',
          subject: name,
          message: `The engine package ${name} cannot be loaded: ${(error as Error).message}`,
          remedy:
            'Install it beside this program or in the working directory, or leave it out of --engine-package and the configuration.',
        },
      ],
    };
  }
  const { engineTypes } = context.settings;
  const definitions = registeredEngines().filter(
    (definition) =>
      (definition.packageName === name || !before.includes(definition)) &&
      (engineTypes.length === 0 || engineTypes.includes(definition.type)),
  );
  const looks = await Promise.all(definitions.map((definition) => lookAt(definition, context)));
  return {
    findings: looks.flatMap(({ findings }) => findings),
    engines: looks.map(({ engine }) => engine),
  };
}

interface Look {
  readonly findings: readonly CheckFinding[];
  readonly engine: SeenEngine;
}

async function lookAt(definition: EngineDefinition, context: CheckContext): Promise<Look> {
  const { type, packageName, packageVersion, contractVersion } = definition;
  const engine = { type, packageName, packageVersion };
  if (contractVersion !== ENGINE_CONTRACT_VERSION) {
    return {
      engine: { ...engine, endpoints: [] },
      findings: [
        {
          id: 'engine-package-outdated',
          severity: 'failure',
          subject: type,
          message: `${packageName} ${packageVersion} was made for version ${contractVersion} of the contract of engines; this is version ${ENGINE_CONTRACT_VERSION}.`,
          remedy: contractVersion < ENGINE_CONTRACT_VERSION ? `Update ${packageName}.` : 'Update crikit.',
        },
      ],
    };
  }
  const { environment, signal, settings } = context;
  const report = await definition.probe({ hostRoot: settings.hostRoot, environment, signal, logger: silentLogger });
  const answering = report.attempts.filter(({ outcome }) => outcome === 'ok');
  const isAvailable = report.status === 'available';
  const wanted = settings.engineTypes.includes(type);
  const findings = report.attempts.flatMap((attempt) =>
    describeAttempt(type, attempt, {
      isDispensable: isAvailable || (attempt.origin === 'well-known' && !wanted),
      hostRoot: settings.hostRoot,
      version: report.version,
    }),
  );
  if (findings.length === 0) findings.push(describeUnspoken(type, report, wanted));
  return { findings, engine: { ...engine, endpoints: isAvailable ? answering.map(({ endpoint }) => endpoint) : [] } };
}

/** An engine of whose attempts there is nothing to tell. */
function describeUnspoken(type: string, { status, version, attempts }: ProbeReport, wanted: boolean): CheckFinding {
  const about = { subject: type };
  const tried = attempts.length === 0 ? '' : ` (looked at ${attempts.map(({ endpoint }) => endpoint).join(', ')})`;
  if (status === 'available') {
    return { ...about, id: 'engine-answers', severity: 'ok', message: `${type} ${version ?? ''} answers.` };
  }
  if (status === 'failed') {
    return {
      ...about,
      id: 'daemon-unusable',
      severity: 'failure',
      isDispensable: !wanted,
      message: `${type} is here and cannot be used${tried}.`,
      remedy: 'Look into the log of the daemon.',
    };
  }
  const message = `No ${type} on this node${tried}.`;
  return wanted
    ? { ...about, id: 'socket-missing', severity: 'failure', message, remedy: missingRemedy(type) }
    : { ...about, id: 'engine-absent', severity: 'ok', message };
}

interface AttemptView {
  readonly isDispensable: boolean;
  readonly hostRoot: string;
  readonly version: string | undefined;
}

function describeAttempt(type: string, attempt: ProbeAttempt, view: AttemptView): CheckFinding[] {
  const { endpoint, origin, outcome, message, code } = attempt;
  const about = { subject: endpoint };
  const mount = mountOf(endpoint);
  if (outcome === 'ok') {
    const found: CheckFinding[] = [
      {
        ...about,
        id: 'engine-answers',
        severity: 'ok',
        message: message || `${endpoint}: ${type} ${view.version ?? ''}`,
      },
    ];
    if (mount?.isFile === true) {
      found.push({
        ...about,
        id: 'socket-mounted-as-file',
        severity: 'warning',
        message: `${mount.mountPoint} is a mount of the socket alone: when ${type} restarts, it makes a new socket that is not seen here.`,
        remedy: 'Mount the directory that holds the socket.',
      });
    }
    return found;
  }
  const failure = { ...about, severity: 'failure', isDispensable: view.isDispensable } as const;
  if (outcome === 'absent') {
    if (origin === 'well-known') return [];
    return [
      {
        ...failure,
        id: 'socket-missing',
        message: `${message} It was named by ${origin === 'option' ? 'an option' : 'the environment'}, and nothing else is tried then.`,
        remedy: missingRemedy(type),
      },
    ];
  }
  switch (code) {
    case 'ENOTSOCK':
      return [
        {
          ...failure,
          id: 'socket-not-a-socket',
          message,
          ...remedyOf(attempt, 'Give the path of the daemon’s socket.'),
        },
      ];
    case 'EACCES':
    case 'EPERM':
      return [
        {
          ...failure,
          id: 'socket-no-right',
          message: `${message}${describeOwner(endpoint, view.hostRoot)}`,
          ...remedyOf(attempt, 'Run as root, or as a member of the group that owns the socket.'),
        },
      ];
    case 'ECONNREFUSED':
      return mount?.isDeleted === true
        ? [
            {
              ...failure,
              id: 'socket-dead-inode',
              message: `${endpoint}: nobody listens, for what is mounted at ${mount.mountPoint} was deleted: ${type} was restarted since and made a new ${mount.isFile ? 'socket' : 'directory'}, which is not seen here.`,
              remedy:
                'Make this process’s container anew, and mount the directory that holds the socket instead of the socket.',
            },
          ]
        : [
            {
              ...failure,
              id: 'daemon-stopped',
              message,
              ...remedyOf(attempt, `Start ${type}.`),
            },
          ];
    case 'TIMEOUT':
      return [
        {
          ...failure,
          id: 'daemon-hung',
          message,
          remedy: `The daemon takes connections and does not answer: look into its log and whether it was stopped (state T in ps); restart it if it hangs.`,
        },
      ];
    default:
      return [{ ...failure, id: 'daemon-unusable', message, ...remedyOf(attempt, 'Look into the log of the daemon.') }];
  }
}

function missingRemedy(type: string): string {
  return `Start ${type}, or correct the path; in a container, mount the directory that holds the socket and give its place.`;
}

function remedyOf({ remedy }: ProbeAttempt, otherwise: string): { readonly remedy: string } {
  return { remedy: remedy ?? otherwise };
}

function mountOf(endpoint: string): SocketMount | undefined {
  if (!endpoint.startsWith('/')) return undefined;
  const mountinfo = readMountinfo();
  const direct = findSocketMount(endpoint, mountinfo);
  if (direct?.isFile === true) return direct;
  try {
    // A link on the way leads to the place of the mount.
    return findSocketMount(realpathSync(endpoint), mountinfo) ?? direct;
  } catch {
    return direct;
  }
}

/** ` It belongs to root:docker (mode 660), and this process is uid 1000 in groups 1000.` */
function describeOwner(endpoint: string, hostRoot: string): string {
  try {
    const { uid, gid, mode } = statSync(endpoint);
    const group = nameOf(hostPath(hostRoot, '/etc/group'), gid);
    const groups = process.getgroups?.().join(', ');
    return ` It belongs to uid ${uid} and group ${group ?? gid} (mode ${(mode & 0o777).toString(8)}); this process is uid ${process.geteuid?.()} in groups ${groups}.`;
  } catch {
    // A directory above it may not be entered.
    return ` This process is uid ${process.geteuid?.()}.`;
  }
}

function nameOf(path: string, id: number): string | undefined {
  try {
    return readFileSync(path, 'utf8')
      .split('\n')
      .map((line) => line.split(':'))
      .find((fields) => Number(fields[2]) === id)?.[0];
  } catch {
    return undefined;
  }
}
