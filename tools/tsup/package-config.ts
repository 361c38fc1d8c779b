import type { Options } from 'tsup';

export interface PackageConfigOptions {
  /** First lines of the type declarations, such as a reference to the types they need. Default: none. */
  declarationBanner?: string;
}

/** How every package of this repository is built: one ESM entry with types, its dependencies left outside. */
export function packageConfig({ declarationBanner }: PackageConfigOptions = {}): Options {
  return {
    entry: ['src/index.ts'],
    format: ['esm'],
    target: 'node20',
    platform: 'node',
    // Keeps what is behind import() in chunks of its own, so that it still loads at first use only.
    splitting: true,
    sourcemap: false,
    clean: true,
    dts: declarationBanner === undefined ? true : { banner: declarationBanner },
    // One rule for what is external: everything that is named by a package, types of other packages included.
    skipNodeModulesBundle: true,
  };
}
