import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import { type ContainerReference, type EngineDriver, silentLogger } from '@crikit/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ContainerdClient, UnaryOptions } from './containerd-client.js';
import { createContainerdDriver } from './containerd-driver.js';
import { createExecFifos, type ExecFifos } from './exec-fifos.js';
import { type Container, Containers } from './generated/containers_pb.js';
import { Tasks } from './generated/tasks_pb.js';
import { taskStatus } from './list-tasks.js';
import { plainContainer, recordedContainer } from './test-container.js';

const noFifos: ExecFifos = {
  kind: 'fifo',
  take: () => Promise.reject(new Error('no exec here')),
  close: async () => {},
};
const { signal } = new AbortController();

type Answer = (request: Record<string, unknown>, options: UnaryOptions) => unknown;

/** A daemon of a few answers, and the calls that it got. */
function fakeClient(answers: Readonly<Record<string, Answer>>): { client: ContainerdClient; calls: string[] } {
  const calls: string[] = [];
  const client: ContainerdClient = {
    async call<Input extends DescMessage, Output extends DescMessage>(
      method: DescMethodUnary<Input, Output>,
      request: MessageInitShape<Input>,
      options: UnaryOptions = {},
    ): Promise<MessageShape<Output>> {
      const name = `${method.parent.name}.${method.name}`;
      calls.push(options.namespace === 'k8s.io' ? name : `${options.namespace}:${name}`);
      const answer = answers[name] ?? (name.startsWith('Store.') ? unimplemented : undefined);
      if (answer === undefined) throw new Error(`${name} is not answered`);
      const reply = await Promise.race([
        answer(request as Record<string, unknown>, options),
        new Promise((_, reject) => {
          options.signal?.addEventListener('abort', () => reject(options.signal?.reason), { once: true });
        }),
      ]);
      return create(method.output, reply as MessageInitShape<Output>);
    },
    stream: () => {
      throw new Error('no events here');
    },
    waitUntilConnected: async () => true,
    close() {},
  };
  return { client, calls };
}

let driver: EngineDriver;
afterEach(() => driver[Symbol.asyncDispose]());

function driverOf(
  answers: Readonly<Record<string, Answer>>,
  namespaces = ['k8s.io'],
  fifos = noFifos,
): { calls: string[] } {
  const { client, calls } = fakeClient(answers);
  driver = createContainerdDriver({
    client,
    engine: 'containerd:/s',
    version: '1.7.24',
    socketPath: '/s',
    namespaces,
    hostRoot: '/',
    fifos,
  });
  return { calls };
}

/** As containerd 1.6 says it. */
const unimplemented = (): never => {
  const details = 'unknown service containerd.services.sandbox.v1.Store';
  throw Object.assign(new Error(`12 UNIMPLEMENTED: ${details}`), { code: 12, details });
};
const notFound = (): never => {
  throw Object.assign(new Error('5 NOT_FOUND: not found'), { code: 5, details: 'not found' });
};
const never = (): Promise<never> => new Promise(() => {});
const task = (id: string) => ({ id, pid: 7, status: taskStatus.running });
const named = (id: string): ContainerReference => ({ scope: 'k8s.io', id });

describe('lists and details', () => {
  const many = Array.from({ length: 300 }, (_, index) => plainContainer(`c${index}`, { hostname: `h${index}` }));
  const answers = {
    'Containers.List': () => ({ containers: many }),
    'Tasks.List': () => ({ tasks: many.map(({ id }) => task(id)) }),
    'Containers.Get': ({ id }: Record<string, unknown>) => {
      const container = many.find((each) => each.id === id);
      return container === undefined ? notFound() : { container };
    },
    'Tasks.Get': ({ containerId }: Record<string, unknown>) => ({ process: task(String(containerId)) }),
  };

  test('of 300 containers take three calls', async () => {
    const { calls } = driverOf({ ...answers, 'Store.List': () => ({ list: [] }) });
    const outcomes = await driver.getContainerDetails('all', { signal });
    expect(outcomes).toHaveLength(300);
    expect(outcomes.at(-1)).toMatchObject({ detail: { hostname: 'h299', status: 'running', pid: 7 } });
    expect(calls.sort()).toEqual(['Containers.List', 'Store.List', 'Tasks.List']);
  });

  test('take two once a daemon has said that it has no store of sandboxes', async () => {
    const { calls } = driverOf(answers);
    await driver.getContainerDetails('all', { signal });
    calls.length = 0;
    expect(await driver.getContainerDetails('all', { signal })).toHaveLength(300);
    expect(calls.sort()).toEqual(['Containers.List', 'Tasks.List']);
  });

  test('of many references take as many, and tell which are gone', async () => {
    const { calls } = driverOf(answers);
    const outcomes = await driver.getContainerDetails([...many.map(({ id }) => named(id)), named('gone')], { signal });
    expect(outcomes).toHaveLength(301);
    expect(outcomes.at(-1)).toMatchObject({ reference: named('gone'), error: { code: 'NOT_FOUND' } });
    expect(calls.sort()).toEqual(['Containers.List', 'Store.List', 'Tasks.List']);
  });

  test('of one reference take two small calls', async () => {
    const { calls } = driverOf(answers);
    const outcomes = await driver.getContainerDetails([named('c7')], { signal });
    expect(outcomes).toMatchObject([{ detail: { hostname: 'h7' } }]);
    expect(calls.sort()).toEqual(['Containers.Get', 'Tasks.Get']);
    expect(await driver.getContainerDetails([named('gone')], { signal })).toMatchObject([
      { error: { code: 'NOT_FOUND' } },
    ]);
  });

  test('look at every namespace that was asked for', async () => {
    const { calls } = driverOf(answers, ['k8s.io', 'moby']);
    expect(await driver.listAllContainers({ signal })).toHaveLength(600);
    expect(calls.filter((call) => !call.endsWith('Store.List')).sort()).toEqual([
      'Containers.List',
      'Tasks.List',
      'moby:Containers.List',
      'moby:Tasks.List',
    ]);
  });

  test('of a pod’s container ask for its sandbox once', async () => {
    const app = recordedContainer('two-app');
    const sandbox = recordedContainer('two-sandbox');
    const { calls } = driverOf({
      ...answers,
      'Containers.Get': ({ id }) => ({ container: id === app.id ? app : sandbox }),
    });
    for (const _round of [1, 2]) {
      const [outcome] = await driver.getContainerDetails([named(app.id)], { signal });
      expect(outcome).toMatchObject({ detail: { hostname: 'two' } });
    }
    expect(calls.filter((call) => call === 'Containers.Get')).toHaveLength(3);
  });
});

describe('a sandbox that is no container, as containerd 2 keeps those of some runtimes', () => {
  const app = recordedContainer('two-app');
  const { id: sandboxId, extensions, spec } = recordedContainer('two-sandbox');
  const metadata = extensions['io.cri-containerd.sandbox.metadata'];
  const stored = {
    sandboxId,
    spec,
    runtime: { name: 'io.containerd.kata.v2' },
    labels: { name: 'two_default' },
    extensions: { metadata },
    createdAt: { seconds: 1_795_000_000n },
    updatedAt: { seconds: 1_795_000_001n },
    sandboxer: 'shim',
  };
  const asked: Record<string, unknown>[] = [];
  const answers = {
    'Containers.List': () => ({ containers: [app] }),
    'Containers.Get': ({ id }: Record<string, unknown>) => (id === app.id ? { container: app } : notFound()),
    'Tasks.List': () => ({ tasks: [task(app.id)] }),
    'Tasks.Get': ({ containerId }: Record<string, unknown>) =>
      containerId === app.id ? { process: task(app.id) } : notFound(),
    'Store.List': () => ({ list: [stored] }),
    'Store.Get': ({ sandboxId: id }: Record<string, unknown>) => (id === sandboxId ? { sandbox: stored } : notFound()),
    'Controller.Status': (request: Record<string, unknown>): unknown => {
      asked.push(request);
      return { sandboxId, pid: 4711, state: 'SANDBOX_READY' };
    },
  };
  const networkMode = '/var/run/netns/cni-f16e79c7-a153-c7fa-84aa-439748dc251a';
  const expected = {
    reference: named(sandboxId),
    status: 'running',
    kubernetes: { kind: 'sandbox', podName: 'two', trust: 'engine' },
    labels: { name: 'two_default', 'io.kubernetes.pod.name': 'two' },
  };

  test('is listed with its state and the labels of its pod', async () => {
    asked.length = 0;
    const { calls } = driverOf(answers);
    expect(await driver.listAllContainers({ signal })).toMatchObject([{ reference: named(app.id) }, expected]);
    expect(asked).toMatchObject([{ sandboxId, sandboxer: 'shim' }]);
    expect(calls.sort()).toEqual(['Containers.List', 'Controller.Status', 'Store.List', 'Tasks.List']);
  });

  test('is inspected by itself, and with all others', async () => {
    driverOf(answers);
    const detail = { ...expected, pid: 4711, hostname: 'two', networkMode, runtime: 'kata' };
    expect(await driver.getContainerDetails([named(sandboxId)], { signal })).toMatchObject([{ detail }]);
    const [, outcome] = await driver.getContainerDetails('all', { signal });
    expect(outcome).toMatchObject({ detail });
    expect(outcome).not.toHaveProperty('detail.mergedDir');
    expect(await driver.getSource(named(sandboxId), { signal })).toMatchObject({ id: sandboxId, sandboxer: 'shim' });
  });

  test('gives its containers their network and hostname', async () => {
    driverOf(answers);
    const [outcome] = await driver.getContainerDetails([named(app.id)], { signal });
    expect(outcome).toMatchObject({ detail: { hostname: 'two', networkMode } });
  });

  test.each([
    ['has ended', { state: 'SANDBOX_NOTREADY' }, 'exited'],
    ['has a state of another name', { state: '' }, 'unknown'],
  ])('that %s is not running', async (_what, status, word) => {
    driverOf({ ...answers, 'Controller.Status': () => status });
    expect(await driver.listAllContainers({ signal })).toMatchObject([{}, { status: word }]);
  });

  test('whose controller is not known, as of containerd 1.7, is listed all the same', async () => {
    driverOf({ ...answers, 'Controller.Status': notFound });
    expect(await driver.listAllContainers({ signal })).toMatchObject([{}, { ...expected, status: 'unknown' }]);
  });

  test('is listed once where it is a container too', async () => {
    const sandbox = recordedContainer('two-sandbox');
    const { calls } = driverOf({ ...answers, 'Containers.List': () => ({ containers: [app, sandbox] }) });
    expect(await driver.listAllContainers({ signal })).toHaveLength(2);
    expect(calls).not.toContain('Controller.Status');
  });

  test('stays listed while the store fails, and then the containers are told as well', async () => {
    let fails = false;
    const list = (): unknown => {
      if (fails) throw Object.assign(new Error('2 UNKNOWN: bolt'), { code: 2 });
      return { list: [stored] };
    };
    driverOf({ ...answers, 'Store.List': list });
    await driver.listAllContainers({ signal });
    fails = true;
    expect(await driver.listAllContainers({ signal })).toHaveLength(2);
  });

  test('runs no command, and says why', async () => {
    driverOf(answers);
    const request = { cmd: ['true'], env: [], tty: false, stdin: false };
    await expect(driver.startExec(named(sandboxId), request, { signal })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      applied: 'no',
    });
  });
});

describe('a shim that hangs', () => {
  const containers: Container[] = [plainContainer('well'), plainContainer('stuck')];

  test('costs a second at most; its containers are unknown, the others are told', async () => {
    const { calls } = driverOf({
      'Containers.List': () => ({ containers }),
      'Tasks.List': never,
      'Tasks.Get': ({ containerId }) => (containerId === 'stuck' ? never() : { process: task('well') }),
    });
    const startedAt = performance.now();
    const listed = await driver.listAllContainers({ signal });
    expect(performance.now() - startedAt).toBeLessThan(1_300);
    expect(listed.map(({ name, status }) => [name, status])).toEqual([
      ['well', 'running'],
      ['stuck', 'unknown'],
    ]);
    expect(calls).toEqual(['Containers.List', 'Tasks.List', 'Store.List', 'Tasks.Get', 'Tasks.Get']);
    const outcomes = await driver.getContainerDetails('all', { signal });
    expect(outcomes).toMatchObject([{ detail: { status: 'running' } }, { error: { code: 'TIMEOUT' } }]);
  });

  test('or one that fails the whole call leaves the others told', async () => {
    driverOf({
      'Containers.List': () => ({ containers }),
      'Tasks.List': () => {
        throw Object.assign(new Error('2 UNKNOWN: ttrpc: closed'), { code: 2 });
      },
      'Tasks.Get': ({ containerId }) => (containerId === 'stuck' ? notFound() : { process: task('well') }),
    });
    const listed = await driver.listAllContainers({ signal });
    expect(listed.map(({ status }) => status)).toEqual(['running', 'unknown']);
  });

  test('is not the daemon’s own loss', async () => {
    const lost = (): never => {
      throw Object.assign(new Error('14 UNAVAILABLE: gone'), { code: 14 });
    };
    driverOf({ 'Containers.List': () => ({ containers }), 'Tasks.List': lost, 'Tasks.Get': lost });
    await expect(driver.listAllContainers({ signal })).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
  });
});

describe('an exec', () => {
  const request = { cmd: ['true'], env: [], tty: false, stdin: false };
  const started: unknown[] = [];
  const answersOf = (containers: readonly Container[]) => {
    const waiting = [...containers];
    return {
      'Containers.List': () => ({ containers: [plainContainer('c', { process: { env: ['WHICH=old'] } })] }),
      'Tasks.List': () => ({ tasks: [task('c')] }),
      'Containers.Get': () => ({ container: waiting.length > 1 ? waiting.shift() : waiting[0] }),
      'Tasks.Exec': ({ spec }: Record<string, unknown>) => {
        started.push(JSON.parse(Buffer.from((spec as { value: Uint8Array }).value).toString()).env);
        return {};
      },
      'Tasks.Wait': () => ({ exitStatus: 0 }),
      'Tasks.Start': () => ({ pid: 9 }),
      'Tasks.DeleteProcess': () => ({}),
    };
  };
  let folder: string;
  let fifos: ExecFifos;
  beforeEach(async () => {
    started.length = 0;
    folder = mkdtempSync(join(tmpdir(), 'crikit-driver-'));
    const options = { engine: 'containerd', directory: folder, hostRoot: '/', logger: silentLogger };
    fifos = await createExecFifos({ ...options, program: 'no-such-mkfifo' });
  });
  afterEach(async () => {
    await fifos.close();
    rmSync(folder, { recursive: true });
  });

  test('starts with what was known before when that still holds', async () => {
    const container = plainContainer('c', { process: { env: ['WHICH=old'] } });
    const { calls } = driverOf(answersOf([container]), ['k8s.io'], fifos);
    await driver.listAllContainers({ signal });
    const handle = await driver.startExec(named('c'), request, { signal });
    expect(await handle.exit).toEqual({ kind: 'exited', exitCode: 0 });
    expect(started).toEqual([['WHICH=old']]);
    expect(calls.filter((call) => call === 'Tasks.Start')).toHaveLength(1);
  });

  test('never starts with what has changed since', async () => {
    const updatedAt = { seconds: 1_795_000_001n };
    const container = plainContainer('c', { process: { env: ['WHICH=new'] } }, { updatedAt });
    const { calls } = driverOf(answersOf([container]), ['k8s.io'], fifos);
    await driver.listAllContainers({ signal });
    const handle = await driver.startExec(named('c'), request, { signal });
    expect(await handle.exit).toEqual({ kind: 'exited', exitCode: 0 });
    expect(started).toEqual([['WHICH=old'], ['WHICH=new']]);
    expect(calls.filter((call) => call === 'Tasks.Start')).toHaveLength(1);
  });

  test('in a container of a pod, whose record stays as it is, asks for that once', async () => {
    const container = recordedContainer('two-app');
    const { calls } = driverOf(answersOf([container]), ['k8s.io'], fifos);
    for (let run = 0; run < 2; run += 1) {
      const handle = await driver.startExec(named(container.id), request, { signal });
      expect(await handle.exit).toEqual({ kind: 'exited', exitCode: 0 });
    }
    expect(calls.filter((call) => call === 'Containers.Get')).toHaveLength(1);
  });

  test('in a container of a pod that is gone since says so', async () => {
    const container = recordedContainer('two-app');
    const answers = answersOf([container]);
    let gone = false;
    driverOf(
      {
        ...answers,
        'Containers.Get': () => (gone ? notFound() : { container }),
        'Tasks.Exec': (asked) => (gone ? notFound() : answers['Tasks.Exec'](asked)),
      },
      ['k8s.io'],
      fifos,
    );
    await (await driver.startExec(named(container.id), request, { signal })).exit;
    gone = true;
    const started = driver.startExec(named(container.id), request, { signal });
    await expect(started).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('whose pipes cannot be opened is not started, and deleted', async () => {
    const missing = join(folder, 'missing');
    const unlink = (): void => {};
    const broken: ExecFifos = {
      kind: 'fifo',
      take: async (count) => Array.from({ length: count }, () => ({ path: missing, shimPath: missing, unlink })),
      close: async () => {},
    };
    const { calls } = driverOf(answersOf([plainContainer('c')]), ['k8s.io'], broken);
    await expect(driver.startExec(named('c'), request, { signal })).rejects.toMatchObject({ applied: 'no' });
    await expect.poll(() => calls).toContain('Tasks.DeleteProcess');
    expect(calls).not.toContain('Tasks.Start');
  });

  test('whose start fails is deleted, and the zero that containerd then tells is not believed', async () => {
    const answers = answersOf([plainContainer('c')]);
    const failed = (): never => {
      const details = 'OCI runtime exec failed: exec failed: exec: "true": executable file not found in $PATH: unknown';
      throw Object.assign(new Error(details), { code: 2, details });
    };
    const { calls } = driverOf({ ...answers, 'Tasks.Start': failed }, ['k8s.io'], fifos);
    const handle = await driver.startExec(named('c'), request, { signal });
    expect(await handle.exit).toMatchObject({ kind: 'not-started', error: { code: 'COMMAND_NOT_FOUND' } });
    expect(calls).toContain('Tasks.DeleteProcess');
  });

  test('that containerd does not know any more has an unknown end, never exit code 0', async () => {
    driverOf({ ...answersOf([plainContainer('c')]), 'Tasks.Wait': notFound }, ['k8s.io'], fifos);
    const handle = await driver.startExec(named('c'), request, { signal });
    expect(await handle.exit).toMatchObject({ kind: 'unknown', error: { code: 'UNAVAILABLE', applied: 'yes' } });
  });
});

test('a call follows its signal', async () => {
  driverOf({ 'Containers.List': never, 'Tasks.List': never });
  const controller = new AbortController();
  const listing = driver.listAllContainers({ signal: controller.signal });
  controller.abort(Object.assign(new Error('no answer in time'), { code: 'TIMEOUT' }));
  await expect(listing).rejects.toMatchObject({ code: 'TIMEOUT' });
});

test('the method names are those of containerd', () => {
  expect(Containers.typeName).toBe('containerd.services.containers.v1.Containers');
  expect(Object.values(Tasks.method).map(({ name }) => name)).toContain('CloseIO');
});
