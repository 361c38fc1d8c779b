import { InvalidArgumentError } from '@crikit/core';
import { defaultPods, inClusterPods, kubeletPods, labelPods, type PodSource } from '@crikit/metastore';
import type { CommandContext } from './command-context.js';

/** Throws `InvalidArgumentError` where the source needs an option that is not given. */
export async function choosePodSource({ options, configuration = {} }: CommandContext): Promise<PodSource> {
  const { pods, nodeName, kubeconfig } = options;
  const { kubelet } = configuration;
  const node = nodeName === undefined ? {} : { nodeName };
  switch (pods) {
    case 'auto':
      return defaultPods({ ...node, ...(kubelet === undefined ? {} : { kubelet }) });
    case 'labels':
      return labelPods();
    case 'api-server':
      return inClusterPods(node);
    case 'kubelet':
      return kubeletPods(kubelet);
    case 'kubeconfig': {
      if (nodeName === undefined) {
        throw new InvalidArgumentError(
          '--pods kubeconfig needs the name of this node in Kubernetes: give it by --node-name or NODE_NAME.',
        );
      }
      const { kubeconfigPods } = await import('@crikit/pods-kubeconfig');
      return kubeconfigPods({ nodeName, ...(kubeconfig === undefined ? {} : { kubeconfig }) });
    }
  }
}
