const virtualMachineRuntime = /^(rund|runv|kata)/;

/**
 * Whether a runtime puts containers in virtual machines, whose files and processes the node does not see. Names of
 * runtimes are the administrator's own (`kata-runtime`, `rund2`): what they begin with is all there is to go by.
 */
export function isVirtualMachineRuntime(runtime: string | undefined): boolean {
  return runtime !== undefined && virtualMachineRuntime.test(runtime);
}
