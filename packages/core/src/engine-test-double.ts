/** A driver for this package's own tests: every member can be replaced, and by default nothing is there. */
import { PassThrough } from 'node:stream';
import type {
  ContainerDetail,
  ContainerSummary,
  DriverExecRequest,
  EngineDefinition,
  EngineDriver,
  ExecExit,
  ExecHandle,
} from './engine-contract.js';
import { ENGINE_CONTRACT_VERSION } from './engine-contract.js';

export function fakeDriver(members: Partial<EngineDriver> = {}): EngineDriver {
  return {
    id: 'fake:/fake.sock',
    containerIdSchemes: ['fake'],
    features: {},
    locality: 'elsewhere',
    limits: { parallelDetails: 4, parallelExecStarts: 4 },
    execFields: new Set(['user', 'workingDir', 'env', 'tty', 'stdin'] as const),
    listAllContainers: async () => [],
    getContainerDetails: async () => [],
    getSource: async () => ({}),
    startExec: async () => {
      throw new Error('no exec here');
    },
    async [Symbol.asyncDispose]() {},
    ...members,
  };
}

export function fakeDefinition(members: Partial<EngineDefinition> = {}): EngineDefinition {
  return {
    contractVersion: ENGINE_CONTRACT_VERSION,
    type: 'fake',
    packageName: 'engine-fake',
    packageVersion: '1.2.3',
    possibleFeatures: ['events', 'archive'],
    probe: async () => ({ status: 'available', version: '9.9', attempts: [] }),
    connect: async () => fakeDriver(),
    ...members,
  };
}

export interface FakeExec {
  readonly request: DriverExecRequest;
  readonly handle: ExecHandle;
  readonly stdin: PassThrough;
  readonly stdout: PassThrough;
  readonly stderr: PassThrough;
  exit(exit: number | ExecExit): void;
  disposed: boolean;
}

/** A handle whose streams and end a test controls. */
export function fakeExec(request: DriverExecRequest, members: Partial<ExecHandle> = {}): FakeExec {
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  let settle: (exit: ExecExit) => void = () => {};
  const exit = new Promise<ExecExit>((resolve) => {
    settle = resolve;
  });
  const fake: FakeExec = {
    request,
    stdin,
    stdout,
    stderr,
    disposed: false,
    exit(how) {
      settle(typeof how === 'number' ? { kind: 'exited', exitCode: how } : how);
    },
    handle: {
      id: 'exec-1',
      ...(request.stdin ? { stdin } : {}),
      stdout,
      ...(request.tty ? {} : { stderr }),
      exit,
      hostPid: async () => undefined,
      async [Symbol.asyncDispose]() {
        fake.disposed = true;
      },
      ...members,
    },
  };
  return fake;
}

export function summary(id: string, members: Partial<ContainerSummary> = {}): ContainerSummary {
  return { reference: { scope: '', id }, name: id, labels: {}, status: 'running', ...members };
}

export function detail(id: string, members: Partial<ContainerDetail> = {}): ContainerDetail {
  return { ...summary(id), env: {}, mounts: [], withheld: {}, ...members };
}
