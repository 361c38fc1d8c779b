/**
 * All that does work, as against types, rules and what every program needs. It is loaded at first use and as one file:
 * in Node each file of a package costs a program more than the reading of 20 KB of code does.
 */
export { copyIntoContainer, copyOutOfContainer } from './copy-files.js';
export { openExecSession } from './exec-session.js';
export { createExecSessionPool } from './exec-session-pool.js';
export { getHostAccess } from './host-access.js';
export { listProcesses, listProcessesOfAll } from './list-processes.js';
export { openContainerRoot } from './open-container-root.js';
export { openRootOfContainer } from './open-root-of-container.js';
export { createPodNetwork } from './pod-network.js';
export { openPortForward } from './pod-network-port-forward.js';
export { resolveTimeZone } from './resolve-time-zone.js';
export { runExec, runExecAsync } from './run-exec.js';
export { transferToHostPathForContainer } from './transfer-to-host-path-for-container.js';
