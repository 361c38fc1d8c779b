/**
 * Everything that the doctor looks at, and what each check can find. The words are contract; docs/doctor.md says what
 * each means and what to do about it.
 */
export const findingIdsOfChecks = {
  node: ['node-supported', 'node-too-old'],
  'host-root': [
    'host-root-seen',
    'host-root-missing',
    'host-root-incomplete',
    'host-root-not-given',
    'host-root-not-propagated',
  ],
  proc: [
    'proc-visible',
    'proc-unreadable',
    'proc-hidden',
    'pid-namespace-private',
    'proc-rights-full',
    'proc-rights-partial',
    'proc-rights-missing',
  ],
  cgroup: ['cgroup-known', 'cgroup-unknown'],
  nsenter: ['nsenter-works', 'nsenter-missing', 'nsenter-not-permitted'],
  engine: [
    'engine-answers',
    'engine-absent',
    'no-engine',
    'engine-not-installed',
    'engine-package-broken',
    'engine-package-outdated',
    'engine-clash',
    'socket-missing',
    'socket-not-a-socket',
    'socket-no-right',
    'socket-dead-inode',
    'socket-mounted-as-file',
    'daemon-stopped',
    'daemon-hung',
    'daemon-unusable',
  ],
  'containerd-namespaces': [
    'containerd-namespaces-right',
    'containerd-namespace-wrong',
    'containerd-namespace-other',
    'containerd-namespaces-unknown',
  ],
  'fifo-directory': ['fifo-directory-usable', 'fifo-directory-unusable', 'mkfifo-missing'],
  'api-server': [
    'api-server-serves',
    'api-server-not-here',
    'api-server-no-credentials',
    'api-server-unreachable',
    'api-server-untrusted',
    'api-server-unauthorized',
    'api-server-forbidden',
    'api-server-failing',
    'node-right-missing',
    'node-name-unknown',
    'node-name-wrong',
  ],
  kubeconfig: ['kubeconfig-serves', 'kubeconfig-failing'],
  kubelet: [
    'kubelet-serves',
    'kubelet-no-credentials',
    'kubelet-unreachable',
    'kubelet-untrusted',
    'kubelet-unauthorized',
    'kubelet-forbidden',
    'kubelet-failing',
  ],
  clock: ['clock-right', 'clock-skewed', 'clock-unknown'],
  agent: ['agent-well', 'agent-troubled', 'agent-unreachable', 'agent-refused', 'agent-differs'],
} as const;

/** What any check can end in. */
export const findingIdsOfAnyCheck = ['check-timed-out', 'check-crashed'] as const;

export type CheckId = keyof typeof findingIdsOfChecks;
export type FindingId = (typeof findingIdsOfChecks)[CheckId][number] | (typeof findingIdsOfAnyCheck)[number];
