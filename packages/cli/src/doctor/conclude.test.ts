import type { Diagnosis } from '@crikit/metastore';
import { describe, expect, test } from 'vitest';
import { contextOf } from './check-context-in-test.js';
import type { CheckSettings } from './check-settings.js';
import type { CheckFinding, CheckResult, CheckTask, SeenEngine } from './check-task.js';
import { conclude } from './conclude.js';
import type { CheckOutcome } from './run-checks.js';
import { formatReport } from './write-report.js';

const nowMs = 1_700_000_000_000;

const docker: SeenEngine = {
  type: 'docker',
  packageName: '@crikit/engine-docker',
  packageVersion: '1.0.0',
  endpoints: ['/run/docker.sock'],
};
const stopped: CheckFinding = {
  id: 'daemon-stopped',
  severity: 'failure',
  subject: '/run/x.sock',
  message: '/run/x.sock: connect ECONNREFUSED. And more.',
  remedy: 'Start it.',
  isDispensable: true,
};

function done(task: CheckTask, result: CheckResult): CheckOutcome {
  return { task, durationMs: 12, ended: { kind: 'done', result } };
}

function engine(result: Partial<CheckResult>): CheckOutcome {
  const enginePackage = { name: 'p', specifier: 'p' };
  return done({ check: 'engine', subject: 'p', enginePackage }, { findings: [], ...result });
}

function concludeAll(outcomes: readonly CheckOutcome[], settings: Partial<CheckSettings> = {}) {
  return conclude(outcomes, { settings: contextOf(settings).settings, limitMs: 2_000, nowMs });
}

const answering = engine({ engines: [docker] });

describe('a report', () => {
  test('where all is well names the engines that answer', () => {
    expect(concludeAll([answering])).toEqual({
      schemaVersion: 1,
      kind: 'DoctorReport',
      verdict: 'all is well: docker',
      severity: 'ok',
      timeMs: nowMs,
      findings: [],
      checks: [{ check: 'engine', subject: 'p', outcome: 'done', durationMs: 12 }],
    });
  });

  test('holds what can be done without for a warning as long as an engine answers', () => {
    const alone = concludeAll([engine({ findings: [stopped] })]);
    expect(alone).toMatchObject({ severity: 'failure', verdict: '/run/x.sock: connect ECONNREFUSED' });
    expect(alone.findings).toHaveLength(1);
    const beside = concludeAll([engine({ findings: [stopped], engines: [docker] })]);
    expect(beside).toMatchObject({ severity: 'warning', findings: [{ id: 'daemon-stopped', severity: 'warning' }] });
    expect(beside.findings[0]).not.toHaveProperty('isDispensable');
    const named = concludeAll([engine({ findings: [{ ...stopped, isDispensable: false }], engines: [docker] })]);
    expect(named.severity).toBe('failure');
  });

  test('without any engine, and without a reason, says so', () => {
    const absent: CheckFinding = { id: 'engine-absent', severity: 'ok', subject: 'docker', message: 'No docker.' };
    const report = concludeAll([engine({ findings: [absent], engines: [{ ...docker, endpoints: [] }] })]);
    expect(report.findings.map(({ id }) => id)).toEqual(['no-engine', 'engine-absent']);
  });

  test('begins with the worst and counts the others', () => {
    const warning: CheckFinding = { id: 'nsenter-missing', severity: 'warning', message: 'There is no nsenter.' };
    const other: CheckFinding = { ...stopped, isDispensable: false, subject: '/run/y.sock', message: 'Second.' };
    const report = concludeAll([
      done({ check: 'nsenter' }, { findings: [warning] }),
      engine({ findings: [{ ...stopped, isDispensable: false }, other] }),
    ]);
    expect(report.verdict).toBe('/run/x.sock: connect ECONNREFUSED; and 1 more');
    expect(report.findings.map(({ check, severity }) => `${check} ${severity}`)).toEqual([
      'engine failure',
      'engine failure',
      'nsenter warning',
    ]);
  });

  test('tells of checks that were killed and of those that failed themselves', () => {
    const report = concludeAll([
      answering,
      { task: { check: 'host-root' }, durationMs: 2_000, ended: { kind: 'timed-out' } },
      { task: { check: 'cgroup' }, durationMs: 3, ended: { kind: 'crashed', message: 'TypeError: x' } },
    ]);
    expect(report.findings).toEqual([
      expect.objectContaining({
        check: 'host-root',
        id: 'check-timed-out',
        severity: 'failure',
        message: expect.stringContaining('2000 ms'),
        remedy: expect.stringContaining('NFS'),
      }),
      expect.objectContaining({
        check: 'cgroup',
        id: 'check-crashed',
        severity: 'failure',
        message: expect.stringContaining('TypeError: x'),
        remedy: expect.any(String),
      }),
    ]);
    expect(report.checks.map(({ outcome }) => outcome)).toEqual(['done', 'timed-out', 'crashed']);
  });

  test('tells of packages that clash, and of a type that none brings', () => {
    const report = concludeAll([engine({ engines: [docker, { ...docker, packageName: 'acme-docker' }] })], {
      engineTypes: ['docker', 'rkt'],
    });
    expect(report.findings.map(({ id, subject }) => `${id} ${subject}`)).toEqual([
      'engine-clash docker',
      'engine-not-installed rkt',
    ]);
    expect(report.findings[0]?.message).toContain('@crikit/engine-docker 1.0.0, acme-docker 1.0.0');
  });
});

describe('beside an agent', () => {
  const agent = { url: 'http://127.0.0.1:9847' };
  const verdict = 'docker: stale 14 min since ECONNREFUSED; the socket was replaced';
  const stale: Diagnosis = {
    schemaVersion: 1,
    verdict,
    severity: 'failure',
    timeMs: nowMs,
    findings: [
      {
        id: 'engine-stale',
        severity: 'failure',
        subject: 'docker:/run/docker.sock',
        message: 'Stale.',
        remedy: 'Remount.',
      },
    ],
  };
  const asked = (diagnosis: Diagnosis) =>
    done(
      { check: 'agent' },
      {
        diagnosis,
        findings: [
          {
            id: diagnosis.severity === 'ok' ? 'agent-well' : 'agent-troubled',
            severity: diagnosis.severity,
            message: 'x',
          },
        ],
      },
    );

  test('the agent’s verdict comes first, and that the engine answers here is told', () => {
    const report = concludeAll([answering, asked(stale)], { agent });
    expect(report.verdict).toBe(`the agent: ${verdict} — here docker answers`);
    expect(report.findings.map(({ id }) => id)).toEqual(['agent-troubled', 'agent-differs']);
    expect(report.agent).toEqual({ url: agent.url, diagnosis: stale });
    const text = formatReport(report, { color: false });
    expect(text.split('\n')[0]).toBe(`failure the agent: ${verdict} — here docker answers`);
    expect(text.indexOf('engine-stale')).toBeLessThan(text.indexOf('agent-differs'));
    expect(text).toContain('→ Remount.');
  });

  test('where both meet the same trouble, both are in the verdict', () => {
    const own = engine({ findings: [stopped], engines: [{ ...docker, endpoints: [] }] });
    const report = concludeAll([own, asked(stale)], { agent });
    expect(report.verdict).toBe(`the agent: ${verdict} — /run/x.sock: connect ECONNREFUSED`);
    expect(report.findings.map(({ id }) => id)).toEqual(['agent-troubled', 'daemon-stopped']);
  });

  test('an engine that answers to the agent alone is told', () => {
    const live: Diagnosis = {
      ...stale,
      verdict: 'live: docker',
      severity: 'ok',
      findings: [{ id: 'engine-live', severity: 'ok', subject: 'docker:/run/docker.sock', message: 'Live.' }],
    };
    const own = engine({ findings: [stopped], engines: [{ ...docker, endpoints: [] }] });
    const report = concludeAll([own, asked(live)], { agent });
    expect(report.findings.map(({ id }) => id)).toEqual(['daemon-stopped', 'agent-differs', 'agent-well']);
    expect(report.verdict).toBe('/run/x.sock: connect ECONNREFUSED');
  });

  test('an agent that does not tell is in the report without a diagnosis', () => {
    const silent = done(
      { check: 'agent' },
      { findings: [{ id: 'agent-unreachable', severity: 'failure', message: 'The agent cannot be reached: no.' }] },
    );
    const report = concludeAll([answering, silent], { agent });
    expect(report.agent).toEqual({ url: agent.url });
    expect(report.verdict).toBe('The agent cannot be reached: no');
    expect(formatReport(report, { color: false })).toContain('It did not tell');
  });
});

describe('the text of a report', () => {
  const report = concludeAll([
    answering,
    engine({
      findings: [{ ...stopped, message: 'a message of several words that is long', remedy: '\u001b[2Jdo it' }],
    }),
  ]);

  test('breaks lines where the terminal ends, and beside what they belong to', () => {
    const lines = formatReport(report, { color: false, width: 44 }).split('\n');
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(44);
    expect(lines.slice(3, 7)).toEqual([
      '  warning daemon-stopped  /run/x.sock: a',
      '          message of several words that is',
      '          long',
      '          → \\x1b[2Jdo it',
    ]);
  });

  test('has colours only where they are wanted, and no control characters of others', () => {
    expect(formatReport(report, { color: false })).not.toContain('\u001b');
    const coloured = formatReport(report, { color: true });
    expect(coloured).toContain('\u001b[33mwarning\u001b[39m');
    expect(coloured).not.toContain('\u001b[2J');
  });
});
