import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidArgumentError } from '@crikit/core';
import type { KubeletPodsOptions } from '@crikit/metastore';
import type { PodSourceName } from './command-context.js';

/** The configuration file; what the command line says goes first. */
export interface Configuration {
  readonly engines?: readonly string[];
  readonly enginePackages?: readonly string[];
  readonly containerdNamespaces?: readonly string[];
  readonly hostRoot?: string;
  readonly pods?: PodSourceName;
  readonly kubeconfig?: string;
  readonly nodeName?: string;
  /** Expressions as the meta store's options of these names take them. */
  readonly sidecars?: string;
  readonly app?: string;
  readonly hostname?: string;
  /** As the options of the meta store's `kubeletPods`, for `--pods kubelet` and while the API server is away. */
  readonly kubelet?: Pick<
    KubeletPodsOptions,
    'url' | 'tokenFile' | 'certificateFile' | 'keyFile' | 'caFile' | 'serverName' | 'insecure'
  >;
}

export const podSourceNames: readonly PodSourceName[] = ['auto', 'labels', 'api-server', 'kubelet', 'kubeconfig'];

type Check = (value: unknown) => boolean;
const isText: Check = (value) => typeof value === 'string' && value !== '';
const isTexts: Check = (value) => Array.isArray(value) && value.every(isText);
const isFlag: Check = (value) => typeof value === 'boolean';

const kubeletKeys: Readonly<Record<keyof NonNullable<Configuration['kubelet']>, Check>> = {
  url: isText,
  tokenFile: isText,
  certificateFile: isText,
  keyFile: isText,
  caFile: isText,
  serverName: isText,
  insecure: isFlag,
};
const keys: Readonly<Record<keyof Configuration, Check>> = {
  engines: isTexts,
  enginePackages: isTexts,
  containerdNamespaces: isTexts,
  hostRoot: isText,
  pods: (value) => (podSourceNames as readonly unknown[]).includes(value),
  kubeconfig: isText,
  nodeName: isText,
  sidecars: isText,
  app: isText,
  hostname: isText,
  kubelet: (value) =>
    isRecord(value) &&
    Object.entries(value).every(
      ([key, inner]) => (kubeletKeys as Readonly<Record<string, Check>>)[key]?.(inner) === true,
    ),
};

/**
 * The file that is named, else `crikit.config.json` of the working directory, else `/etc/crikit/config.json`, else
 * nothing; `onIgnored` is told of one that is there and not trusted. Throws `InvalidArgumentError` for one that cannot be read or has something in it that no option is.
 */
export function readConfiguration(
  named: string | undefined,
  workingDirectory: string,
  onIgnored: (path: string) => void = () => {},
): Configuration {
  if (named !== undefined) return parse(named, read(named));
  for (const path of [join(workingDirectory, 'crikit.config.json'), '/etc/crikit/config.json']) {
    if (isTrusted(path)) return parse(path, read(path));
    if (existsSync(path)) onIgnored(path);
  }
  return {};
}

/**
 * Whether a file that nobody named may decide which code is loaded: it is there, it belongs to this user or to root, and
 * nobody else may write it. So nobody is led to run another user's code by standing in that user's directory.
 */
export function isTrusted(path: string): boolean {
  try {
    const { uid, mode } = statSync(path);
    return (uid === 0 || uid === process.getuid?.()) && (mode & 0o022) === 0;
  } catch {
    return false;
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new InvalidArgumentError(
      `The configuration file cannot be read: ${error instanceof Error ? error.message : String(error)}.`,
    );
  }
}

function parse(path: string, text: string): Configuration {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw new InvalidArgumentError(`${path} is no JSON: ${error instanceof Error ? error.message : String(error)}.`);
  }
  if (!isRecord(content)) throw new InvalidArgumentError(`${path} must hold a JSON object.`);
  for (const [key, value] of Object.entries(content)) {
    const check = Object.hasOwn(keys, key) ? keys[key as keyof Configuration] : undefined;
    if (check === undefined) {
      throw new InvalidArgumentError(
        `${path} has '${key}', which is unknown; there are ${Object.keys(keys).join(', ')}.`,
      );
    }
    if (!check(value)) throw new InvalidArgumentError(`${path}: the value of '${key}' is not valid.`);
  }
  return content;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
