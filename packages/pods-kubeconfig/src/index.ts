export { type KubeconfigPodsOptions, kubeconfigPods } from './kubeconfig-pods.js';
