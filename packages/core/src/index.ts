export {
  getHostAccess,
  listProcesses,
  listProcessesOfAll,
  openContainerRoot,
  openRootOfContainer,
  resolveTimeZone,
  transferToHostPathForContainer,
} from './at-first-use.js';
export * from './container.js';
export type {
  CallOptions,
  ContainerChange,
  ContainerEngine,
  ContainerTarget,
  ContainerWatch,
} from './container-engine.js';
export {
  type AssignedRole,
  type AssignRolesInput,
  assignContainerRoles,
  DEFAULT_CONTAINER_ANNOTATION,
  DEFAULT_SIDECAR_RULES,
  INJECTED_PROXY_SIDECARS,
  parseSidecarRules,
  type RoleCandidate,
  type SidecarPredicate,
  type SidecarRule,
} from './container-role.js';
export type {
  ContainerPath,
  ContainerRoot,
  DirectoryEntry,
  FileStatus,
  FileType,
  MakeDirectoriesOptions,
  ReadDirOptions,
  ReadFileOptions,
  RemoveOptions,
  StatOptions,
  WriteFileOptions,
} from './container-root.js';
export type { CopyAttempt, CopyMethod, CopyOptions, CopyProgress, CopyResult } from './copy-options.js';
export { type ContainerEngineOptions, createContainerEngine } from './create-container-engine.js';
export { type DemultiplexedStreams, demultiplexStream } from './demultiplex-stream.js';
export { detailsOneByOne } from './details-one-by-one.js';
export * from './engine-contract.js';
export { registerEngine, registeredEngines } from './engine-registry.js';
export { AlreadyExistsError, isAlreadyExistsError } from './errors/already-exists-error.js';
export { AmbiguousContainerError, isAmbiguousContainerError } from './errors/ambiguous-container-error.js';
export { ClosedError, isClosedError } from './errors/closed-error.js';
export { CommandNotFoundError, isCommandNotFoundError } from './errors/command-not-found-error.js';
export { ContainerNotRunningError, isContainerNotRunningError } from './errors/container-not-running-error.js';
export { ContainerPausedError, isContainerPausedError } from './errors/container-paused-error.js';
export { CopyFailedError, isCopyFailedError } from './errors/copy-failed-error.js';
export {
  type Applied,
  CrikitError,
  type CrikitErrorOptions,
  type ErrorCode,
  isCrikitError,
} from './errors/crikit-error.js';
export { EngineClashError, isEngineClashError } from './errors/engine-clash-error.js';
export { EngineTimeoutError, isEngineTimeoutError } from './errors/engine-timeout-error.js';
export { EngineUnavailableError, isEngineUnavailableError } from './errors/engine-unavailable-error.js';
export { ExecAbortedError, isExecAbortedError } from './errors/exec-aborted-error.js';
export { ExecFailedError, isExecFailedError } from './errors/exec-failed-error.js';
export type { ExecInterruption, ExecTermination, ExecTerminationMethod } from './errors/exec-interrupted.js';
export { ExecTimeoutError, isExecTimeoutError } from './errors/exec-timeout-error.js';
export { InvalidArgumentError, isInvalidArgumentError } from './errors/invalid-argument-error.js';
export { isMultiBizError, MultiBizError } from './errors/multi-biz-error.js';
export { isNoBizError, NoBizError } from './errors/no-biz-error.js';
export { isNoEngineError, NoEngineError } from './errors/no-engine-error.js';
export { isNoPodError, NoPodError } from './errors/no-pod-error.js';
export { isNoSuchContainerError, NoSuchContainerError } from './errors/no-such-container-error.js';
export { isOperationAbortedError, OperationAbortedError } from './errors/operation-aborted-error.js';
export { isPathNotFoundError, PathNotFoundError } from './errors/path-not-found-error.js';
export { isPermissionDeniedError, PermissionDeniedError } from './errors/permission-denied-error.js';
export { isProtocolError, ProtocolError } from './errors/protocol-error.js';
export { isTooLargeError, TooLargeError } from './errors/too-large-error.js';
export { isUnsupportedError, UnsupportedError } from './errors/unsupported-error.js';
export { isUserNotFoundError, UserNotFoundError } from './errors/user-not-found-error.js';
export { isWorkingDirNotFoundError, WorkingDirNotFoundError } from './errors/working-dir-not-found-error.js';
export * from './exec-request.js';
export type { ExecSession, SessionExecRequest, SessionOptions } from './exec-session.js';
export type { HostAccess, HostAccessLevel } from './host-access.js';
export { defaultHostRoot, type HostPathOptions, hostPath } from './host-path.js';
export type { KubernetesNode } from './kubernetes-node.js';
export * from './kubernetes-pod.js';
export { type LinkedSignal, linkSignals } from './link-signals.js';
export type {
  ContainerProcess,
  ListAllProcessesOptions,
  ListProcessesOptions,
  ProcessState,
} from './list-processes.js';
export { type Logger, silentLogger } from './logger.js';
export {
  DEFAULT_HOSTNAME_RULES,
  type MetadataRule,
  type MetadataSubject,
  parseMetadataRules,
  type ResolvedMetadata,
  resolveApp,
  resolvePodHostname,
} from './metadata-rules.js';
export { sortMountPointsByLongSourceFirst } from './mount-order.js';
export type { DirectoryRootLocation, ProcessRootLocation } from './open-container-root.js';
export * from './pod.js';
export type { DialOptions, DialTarget } from './pod-network.js';
export type { PodConnector } from './pod-network-http.js';
export type { PortForward, PortForwardOptions } from './pod-network-port-forward.js';
export { type PodOwner, resolvePodOwner } from './pod-owner.js';
export { probeUnixSocket } from './probe-unix-socket.js';
export {
  containerIdFromCgroup,
  containerIdOfPid,
  containerIdsFromCgroup,
  containerIdsOfPid,
} from './read-cgroup.js';
export type { ResolveTimeZoneOptions } from './resolve-time-zone.js';
export { isRuncLikeRuntime } from './runc-like-runtime.js';
export { DEFAULT_SAMPLE_OUTPUT_LENGTH, sampleOutput } from './sample-output.js';
export {
  connectEngine,
  createEngineSelector,
  type EngineChoice,
  type EngineReport,
  type EngineSelector,
  type EngineSelectorOptions,
  type SelectEnginesOptions,
  selectEngines,
} from './select-engines.js';
export { shortContainerId, stripContainerIdScheme } from './short-container-id.js';
export type { TimeZoneRoot } from './time-zone-root.js';
export type { TraceContext } from './tracing.js';
export {
  type Libc,
  type TzInfo,
  UNKNOWN_TIME_ZONE,
  type ZoneRule,
  type ZoneRuleChange,
  type ZoneTable,
  type ZoneType,
} from './tz-info.js';
export { withDeadline } from './with-deadline.js';
export { zoneAt } from './zone-at.js';
