import type { Configuration } from './read-configuration.js';

/** What every command gets: the terminal, the environment, and the options that hold for all commands. */
export interface CommandContext {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly environment: NodeJS.ProcessEnv;
  /** Aborts at SIGINT, SIGTERM and SIGHUP, and when nobody reads stdout any more; the reason is an `InterruptedError`. */
  readonly signal: AbortSignal;
  readonly options: GlobalOptions;
  /** What the configuration file says beyond `options`. */
  readonly configuration?: Configuration;
}

export type OutputFormat = 'table' | 'wide' | 'json' | 'yaml' | 'name';

/** Given before or after the name of the command. */
export interface GlobalOptions {
  /** Engine types to use, such as `docker`. Default: all that are installed and answer. */
  readonly engine: readonly string[];
  /** Further npm packages that register an engine when they are imported. */
  readonly enginePackage: readonly string[];
  /** Namespaces of containerd to look at. Default: CONTAINERD_NAMESPACE, else the engine package's. */
  readonly containerdNamespace?: readonly string[];
  /** Path of the configuration file. Default: `crikit.config.json` of the working directory or `/etc/crikit/config.json`. */
  readonly config?: string;
  /** Where the root directory of the host is seen. Default: HOSTFS of the environment, else `/`. */
  readonly hostRoot: string;
  /** Kubernetes: where pods come from. Default: `auto`. */
  readonly pods: PodSourceName;
  readonly kubeconfig?: string;
  readonly nodeName?: string;
  /** Values of environment variables are shown. Default: false. */
  readonly showEnv: boolean;
  readonly output: OutputFormat;
  /** Default: a terminal, and no NO_COLOR. */
  readonly color: boolean;
}

export type PodSourceName = 'auto' | 'labels' | 'api-server' | 'kubelet' | 'kubeconfig';
