import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CompilerState,
  Extractor,
  ExtractorConfig,
  type ExtractorLogLevel,
  type IExtractorMessagesConfig,
} from '@microsoft/api-extractor';
import { repositoryRoot } from '../setup/tool-environment.mjs';
import type { WorkspacePackage } from './public-packages.js';

export interface ApiReport {
  /** The public surface, in an order that does not depend on where things are declared. */
  readonly text: string;
  /** What is wrong with the declarations. */
  readonly problems: readonly string[];
}

const silent = { logLevel: 'none' as ExtractorLogLevel };
const loud = { logLevel: 'warning' as ExtractorLogLevel };

const messages: IExtractorMessagesConfig = {
  compilerMessageReporting: { default: loud },
  extractorMessageReporting: {
    default: loud,
    // Everything that index.ts lists is public; there are no other stages.
    'ae-missing-release-tag': silent,
    'ae-undocumented': silent,
    'ae-forgotten-export': silent,
  },
  // Its markup is stricter than what editors read.
  tsdocMessageReporting: { default: silent },
};

/** The report of what a built package exports. */
export function makeApiReport({ name, directory }: WorkspacePackage): ApiReport {
  const folder = mkdtempSync(join(tmpdir(), 'crikit-api-report-'));
  try {
    const entry = join(directory, 'dist', 'index.d.ts');
    const configuration = ExtractorConfig.prepare({
      configObject: {
        projectFolder: directory,
        mainEntryPointFilePath: entry,
        newlineKind: 'lf',
        compiler: { overrideTsconfig: tsconfigFor(entry) },
        apiReport: {
          enabled: true,
          reportFileName: 'api-report.md',
          reportFolder: folder,
          reportTempFolder: folder,
          // The common part of several exported interfaces shows through them.
          includeForgottenExports: true,
        },
        docModel: { enabled: false },
        dtsRollup: { enabled: false },
        tsdocMetadata: { enabled: false },
        messages,
      },
      configObjectFullPath: undefined,
      packageJsonFullPath: join(directory, 'package.json'),
    });
    const problems: string[] = [];
    Extractor.invoke(configuration, {
      localBuild: true,
      compilerState: CompilerState.create(configuration),
      messageCallback(message) {
        message.handled = true;
        if (message.category === 'console' || message.logLevel === 'none') return;
        problems.push(`${name}, line ${message.sourceFileLine} of its declarations: ${message.text}`);
      },
    });
    return { text: readFileSync(configuration.reportFilePath, 'utf8'), problems };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function tsconfigFor(entry: string) {
  const { compilerOptions } = JSON.parse(
    readFileSync(join(repositoryRoot, 'tools', 'tsconfig', 'base.json'), 'utf8'),
  ) as { compilerOptions: Readonly<Record<string, unknown>> };
  return { compilerOptions, files: [entry] };
}
