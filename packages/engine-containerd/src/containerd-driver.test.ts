import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import type { ContainerReference, EngineDriver } from '@crikit/core';
import { afterEach, describe, expect, test } from 'vitest';
import type { ContainerdClient, UnaryOptions } from './containerd-client.js';
import { createContainerdDriver } from './containerd-driver.js';
import type { ExecFifos } from './exec-fifos.js';
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
      const answer = answers[name];
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

function driverOf(answers: Readonly<Record<string, Answer>>, namespaces = ['k8s.io']): { calls: string[] } {
  const { client, calls } = fakeClient(answers);
  driver = createContainerdDriver({
    client,
    engine: 'containerd:/s',
    version: '1.7.24',
    socketPath: '/s',
    namespaces,
    hostRoot: '/',
    fifos: noFifos,
  });
  return { calls };
}

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

  test('of 300 containers take two calls', async () => {
    const { calls } = driverOf(answers);
    const outcomes = await driver.getContainerDetails('all', { signal });
    expect(outcomes).toHaveLength(300);
    expect(outcomes.at(-1)).toMatchObject({ detail: { hostname: 'h299', status: 'running', pid: 7 } });
    expect(calls.sort()).toEqual(['Containers.List', 'Tasks.List']);
  });

  test('of many references take two calls, and tell which are gone', async () => {
    const { calls } = driverOf(answers);
    const outcomes = await driver.getContainerDetails([...many.map(({ id }) => named(id)), named('gone')], { signal });
    expect(outcomes).toHaveLength(301);
    expect(outcomes.at(-1)).toMatchObject({ reference: named('gone'), error: { code: 'NOT_FOUND' } });
    expect(calls).toHaveLength(2);
  });

  test('of one reference take two small calls', async () => {
    const { calls } = driverOf(answers);
    const outcomes = await driver.getContainerDetails([named('c7'), named('gone')], { signal });
    expect(outcomes).toMatchObject([{ detail: { hostname: 'h7' } }, { error: { code: 'NOT_FOUND' } }]);
    expect(calls.sort()).toEqual(['Containers.Get', 'Containers.Get', 'Tasks.Get', 'Tasks.Get']);
  });

  test('look at every namespace that was asked for', async () => {
    const { calls } = driverOf(answers, ['k8s.io', 'moby']);
    expect(await driver.listAllContainers({ signal })).toHaveLength(600);
    expect(calls.sort()).toEqual(['Containers.List', 'Tasks.List', 'moby:Containers.List', 'moby:Tasks.List']);
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

test('a sandbox that is no container is found in the store of containerd 2', async () => {
  const app = recordedContainer('two-app');
  const { extensions, spec } = recordedContainer('two-sandbox');
  const metadata = extensions['io.cri-containerd.sandbox.metadata'];
  driverOf({
    'Containers.Get': ({ id }) => (id === app.id ? { container: app } : notFound()),
    'Tasks.Get': ({ containerId }) => ({ process: task(String(containerId)) }),
    'Store.Get': ({ sandboxId }) => ({ sandbox: { sandboxId, spec, extensions: { metadata } } }),
  });
  const [outcome] = await driver.getContainerDetails([named(app.id)], { signal });
  expect(outcome).toMatchObject({
    detail: { hostname: 'two', networkMode: '/var/run/netns/cni-f16e79c7-a153-c7fa-84aa-439748dc251a' },
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
    expect(calls).toEqual(['Containers.List', 'Tasks.List', 'Tasks.Get', 'Tasks.Get']);
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
