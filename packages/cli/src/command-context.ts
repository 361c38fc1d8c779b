/** What every command gets: the terminal, the environment, and the options that hold for all commands. */
export interface CommandContext {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly environment: NodeJS.ProcessEnv;
  /** Aborts at SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  readonly options: GlobalOptions;
}

export type OutputFormat = 'table' | 'wide' | 'json' | 'yaml' | 'name';

/** Given before or after the name of the command. */
export interface GlobalOptions {
  /** Engine types to use, such as `docker`. Default: all that are installed and answer. */
  readonly engine: readonly string[];
  /** Further npm packages that register an engine when they are imported. */
  readonly enginePackage: readonly string[];
  /** Path of the configuration file. Default: `crikit.config.json` of the working directory or `/etc/crikit/config.json`. */
  readonly config?: string;
  /** Where the root directory of the host is seen. Default: `/`. */
  readonly hostRoot: string;
  /** Kubernetes: where pods come from. Default: `auto`. */
  readonly pods: 'auto' | 'labels' | 'api-server' | 'kubelet' | 'kubeconfig';
  readonly kubeconfig?: string;
  readonly nodeName?: string;
  /** Values of environment variables are shown. Default: false. */
  readonly showEnv: boolean;
  readonly output: OutputFormat;
  /** Default: a terminal, and no NO_COLOR. */
  readonly color: boolean;
}
