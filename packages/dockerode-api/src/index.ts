export {
  convertInspect,
  convertListItem,
  type InspectReading,
  type ListItemReading,
  shortRuntimeName,
} from './convert-container.js';
export { convertDaemonEvent, type DaemonEvent } from './convert-daemon-event.js';
export type { Daemon } from './daemon.js';
export type { DaemonEndpoint } from './daemon-endpoint.js';
export { createDaemonEventFeed } from './daemon-event-feed.js';
export {
  type DaemonExecState,
  type DaemonInspect,
  type DaemonListItem,
  isRecord,
  readInspect,
  readList,
} from './daemon-replies.js';
export { createDockerodeApi, type DaemonExecOptions, type DockerodeApi, type EventsQuery } from './dockerode-api.js';
export { eventsSince } from './events-since.js';
export { inspectInParallel, PARALLEL_DETAILS } from './inspect-in-parallel.js';
export { type MarksReading, readKubernetesMarks } from './kubernetes-marks.js';
export {
  type DaemonKind,
  type DaemonObjection,
  type ProbedEndpoint,
  probeEndpoints,
  reportProbe,
  requireEndpoint,
} from './probe-endpoints.js';
export {
  askDaemonVersion,
  compareApiVersions,
  type DaemonVersion,
  readDaemonJson,
  readDaemonVersion,
} from './read-daemon-version.js';
export { type ExecDialect, type ExecSigns, type ExecVerdict, startDaemonExec } from './start-daemon-exec.js';
