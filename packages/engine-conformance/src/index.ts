export { type CopyMethodsSuiteOptions, describeCopyMethods } from './copy-methods-suite.js';
export { type CopySuiteOptions, describeCopyBehaviour } from './copy-suite.js';
export {
  CONFORMANCE_SUITES,
  type ConformanceSuite,
  describeEngineConformance,
  type EngineConformanceOptions,
} from './describe-engine-conformance.js';
export type {
  ContainerFixture,
  EngineFixture,
  FixtureContainer,
  FixtureContainerOptions,
} from './engine-fixture.js';
export { describeEventsBehaviour, type EventsSuiteOptions } from './events-suite.js';
export { describeExecBehaviour, type ExecSuiteOptions } from './exec-suite.js';
export {
  createFakeApiServer,
  type FakeApiServer,
  type FakeApiServerOptions,
  type FakeObject,
  type FakeResource,
} from './fake-api-server.js';
export type { FakeFault, FakeRequest, FakeServer, FakeServerOptions } from './fake-http-server.js';
export { createFakeKubelet, type FakeKubelet } from './fake-kubelet.js';
export {
  createInMemoryEngine,
  type InMemoryCall,
  type InMemoryEngine,
  type InMemoryEngineControl,
  type InMemoryEngineOptions,
  type InMemoryPod,
  type InMemoryPodContainer,
  type InMemoryPodOptions,
} from './in-memory-engine.js';
export type { InMemoryContainer } from './in-memory-engine-container.js';
export type { InMemoryCommand, InMemoryProcess } from './in-memory-engine-exec.js';
export { describeSessionBehaviour, type SessionSuiteOptions } from './session-suite.js';
export { type SuiteRunner, waitUntil } from './suite-runner.js';
