import type { CheckContext, CheckResult, CheckTask } from './check-task.js';

/** Each check is loaded when it is run: most processes run few. */
export async function runCheck(task: CheckTask, context: CheckContext): Promise<CheckResult> {
  switch (task.check) {
    case 'node':
      return (await import('./check-node.js')).checkNode();
    case 'host-root':
      return (await import('./check-host-root.js')).checkHostRoot(context);
    case 'proc':
      return (await import('./check-proc.js')).checkProc(context);
    case 'cgroup':
      return (await import('./check-cgroup.js')).checkCgroup(context);
    case 'nsenter':
      return (await import('./check-nsenter.js')).checkNsenter(context);
    case 'engine':
      return (await import('./check-engine.js')).checkEngine(task.enginePackage, context);
    case 'containerd-namespaces':
      return (await import('./check-containerd-namespaces.js')).checkContainerdNamespaces(task.subject, context);
    case 'fifo-directory':
      return (await import('./check-fifo-directory.js')).checkFifoDirectory(task.subject, context);
    case 'api-server':
      return (await import('./check-api-server.js')).checkApiServer(context);
    case 'kubeconfig':
      return (await import('./check-kubeconfig.js')).checkKubeconfig(context);
    case 'kubelet':
      return (await import('./check-kubelet.js')).checkKubelet(context);
    case 'clock':
      return (await import('./check-clock.js')).checkClock(task.endpoints, context);
    case 'agent':
      return (await import('./check-agent.js')).checkAgent(context);
  }
}
