import type { DaemonInspect, DaemonListItem } from '@crikit/dockerode-api';
import { describe, expect, test } from 'vitest';
import { createDockerRevisions, parseDockerStatusText } from './docker-revisions.js';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** What Docker's own formatter makes of a duration, by its published rules. */
function humanDuration(durationMs: number): string {
  const seconds = Math.floor(durationMs / second);
  const minutes = Math.floor(durationMs / minute);
  const hours = Math.floor(durationMs / hour + 0.5);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${seconds} seconds`;
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  if (hours === 1) return 'About an hour';
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(durationMs / hour / 24 / 365)} years`;
}

function inspected(parts: Partial<DaemonInspect['State']> = {}, name = '/web'): DaemonInspect {
  return {
    Id: 'aa',
    Name: name,
    State: {
      Status: 'running',
      Pid: 7,
      ExitCode: 0,
      StartedAt: '2026-11-23T13:26:01.01815657Z',
      FinishedAt: '0001-01-01T00:00:00Z',
      ...parts,
    },
  };
}

function listed(Status: string, parts: Partial<DaemonListItem> = {}): DaemonListItem {
  return { Id: 'aa', Names: ['/web'], Labels: {}, State: 'running', Status, ...parts };
}

describe('a running container', () => {
  const ages = [0, 0.4, 1, 1.5, 30, 59.9, 60, 150, 59 * 60, 60 * 60, 5 * 3_600].map((age) => age * second);

  test.each(ages)('that was %d ms old when it was inspected is unchanged in a list right after', (age) => {
    const revisions = createDockerRevisions();
    const revision = revisions.remember(inspected(), 0);
    expect(revisions.confirm(listed(`Up ${humanDuration(age + 5)}`), 1, 5)).toBe(revision);
  });

  test('is not inspected again by a reconcile a minute, but for a few times while it is young', () => {
    const revisions = createDockerRevisions();
    let revision = revisions.remember(inspected(), 0);
    const ageAtStart = 3 * second;
    let inspections = 0;
    for (let now = minute; now < 40 * day; now += now < day ? minute : 30 * minute) {
      const seen = revisions.confirm(listed(`Up ${humanDuration(ageAtStart + now)}`), now, now + 50);
      if (seen === undefined) {
        inspections += 1;
        revision = revisions.remember(inspected(), now + 60);
      } else {
        expect(seen).toBe(revision);
      }
    }
    expect(inspections).toBeLessThanOrEqual(2);
  });

  test('that was restarted since the last look is new, however coarse the words are', () => {
    for (const ageAtInspection of [10 * second, 30 * minute, 40 * minute, 5 * hour, 30 * day, 400 * day]) {
      for (const sinceLook of [10 * second, minute, 45 * minute, 5 * hour, 20 * day]) {
        for (const restartedAfter of [0.3, 0.5, 0.9]) {
          const revisions = createDockerRevisions();
          revisions.remember(inspected(), 0);
          const newAge = sinceLook * (1 - restartedAfter);
          const seen = revisions.confirm(listed(`Up ${humanDuration(newAge)}`), sinceLook - 5, sinceLook);
          expect(seen, `age ${ageAtInspection}, look ${sinceLook}, restart ${restartedAfter}`).toBeUndefined();
        }
      }
    }
  });

  test('is unchanged with words about its health or a pause', () => {
    const revisions = createDockerRevisions();
    const revision = revisions.remember(inspected(), 0);
    for (const suffix of ['(healthy)', '(health: starting)', '(unhealthy)']) {
      expect(revisions.confirm(listed(`Up 5 minutes ${suffix}`), 1, 2)).toBe(revision);
    }
    const paused = revisions.remember(inspected({ Status: 'paused' }), 3);
    expect(revisions.confirm(listed('Up 5 minutes (Paused)', { State: 'paused' }), 4, 5)).toBe(paused);
  });
});

describe('a container', () => {
  test('that was never inspected has no revision', () => {
    expect(createDockerRevisions().confirm(listed('Up 5 minutes'), 0, 1)).toBeUndefined();
  });

  test('is new in another state, under another name, with another exit code or with words that nobody knows', () => {
    const revisions = createDockerRevisions();
    revisions.remember(inspected({ Status: 'exited', Pid: 0, ExitCode: 3 }), 0);
    const exited = { State: 'exited' };
    expect(revisions.confirm(listed('Exited (3) 3 hours ago', exited), 0, 1)).toBeDefined();
    expect(revisions.confirm(listed('Up 3 hours'), 0, 1)).toBeUndefined();
    expect(revisions.confirm(listed('Exited (0) 3 hours ago', exited), 0, 1)).toBeUndefined();
    expect(revisions.confirm(listed('Exited (3) 3 hours ago', { ...exited, Names: ['/b'] }), 0, 1)).toBeUndefined();
    expect(revisions.confirm(listed('Ended a while ago', exited), 0, 1)).toBeUndefined();
  });

  test('that ran once more between two looks is new', () => {
    const revisions = createDockerRevisions();
    revisions.remember(inspected({ Status: 'exited', Pid: 0, ExitCode: 0 }), 0);
    expect(
      revisions.confirm(listed('Exited (0) 20 seconds ago', { State: 'exited' }), minute - 5, minute),
    ).toBeUndefined();
  });

  test('that was created and never started is unchanged for ever', () => {
    const revisions = createDockerRevisions();
    const revision = revisions.remember(inspected({ Status: 'created', Pid: 0 }), 0);
    expect(revisions.confirm(listed('Created', { State: 'created' }), 40 * day, 40 * day + 5)).toBe(revision);
  });

  test('that is restarting is always inspected', () => {
    const revisions = createDockerRevisions();
    revisions.remember(inspected({ Status: 'restarting' }), 0);
    const item = listed('Restarting (1) 5 seconds ago', { State: 'restarting' });
    expect(revisions.confirm(item, 1, 2)).toBeUndefined();
  });

  test('that is gone is forgotten', () => {
    const revisions = createDockerRevisions();
    revisions.remember(inspected(), 0);
    revisions.keepOnly(new Set(['bb']));
    expect(revisions.size).toBe(0);
  });
});

test('revisions differ when a container was restarted or renamed', () => {
  const revisions = createDockerRevisions();
  const all = [
    inspected(),
    inspected({ StartedAt: '2026-11-23T13:27:00Z' }),
    inspected({ Pid: 8 }),
    inspected({}, '/other'),
    inspected({ Status: 'exited', Pid: 0, ExitCode: 1 }),
  ].map((inspect) => revisions.remember(inspect, 0));
  expect(new Set(all).size).toBe(all.length);
});

test('a text never says more than the true duration', () => {
  for (let durationMs = 0; durationMs < 1_000 * day; durationMs = durationMs * 1.07 + 300) {
    const spell = parseDockerStatusText(`Up ${humanDuration(durationMs)}`);
    expect(spell, humanDuration(durationMs)).toBeDefined();
    expect(spell?.atLeastMs).toBeLessThanOrEqual(durationMs);
  }
});

test.each([
  ['Up Less than a second', 0, undefined],
  ['Up 1 second', second, undefined],
  ['Up About a minute', minute, undefined],
  ['Up About an hour (healthy)', hour / 2, undefined],
  ['Up 2 weeks', 14 * day - hour / 2, undefined],
  ['Exited (137) 3 months ago', 90 * day - hour / 2, 137],
  ['Exited (-1) Less than a second ago', 0, -1],
])('"%s" is at least %d ms', (text, atLeastMs, exitCode) => {
  expect(parseDockerStatusText(text)).toMatchObject({ atLeastMs, ...(exitCode === undefined ? {} : { exitCode }) });
});

test.each(['', 'Created', 'Dead', 'Up', 'Up a while', 'Removal In Progress', 'Restarting (1) 5 seconds ago'])(
  '"%s" is no duration',
  (text) => {
    expect(parseDockerStatusText(text)).toBeUndefined();
  },
);
