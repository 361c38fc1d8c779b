/** TypeScript as a function: what a text's types are wrong about, and what a package exports, by the packages' sources. */
import { join } from 'node:path';
import ts from 'typescript';
import { repositoryRoot } from '../setup/tool-environment.mjs';

const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  types: ['node'],
  typeRoots: [join(repositoryRoot, 'node_modules', '@types')],
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  resolveJsonModule: true,
  skipLibCheck: true,
  noEmit: true,
  baseUrl: repositoryRoot,
  paths: { '@crikit/*': ['packages/*/src/index.ts'] },
};

/** Checks files that exist only here, by name. Gives what is wrong with each, as `name:line: message`. */
export function checkTypes(files: Readonly<Record<string, string>>): string[] {
  const texts = new Map(Object.entries(files).map(([name, text]) => [join(repositoryRoot, 'docs', name), text]));
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => texts.has(path) || fileExists(path);
  host.readFile = (path) => texts.get(path) ?? readFile(path);
  host.getSourceFile = (path, language, ...rest) => {
    const text = texts.get(path);
    return text === undefined
      ? getSourceFile(path, language, ...rest)
      : ts.createSourceFile(path, text, {
          languageVersion: ts.ScriptTarget.ES2022,
          impliedNodeFormat: ts.ModuleKind.ESNext,
        });
  };
  const program = ts.createProgram([...texts.keys()], options, host);
  return [...texts.keys()].flatMap((path) => {
    const file = program.getSourceFile(path);
    const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
    return found.map(({ start = 0, messageText }) => {
      const line = (file?.getLineAndCharacterOfPosition(start).line ?? 0) + 1;
      return `${path.split('/').at(-1)}:${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
    });
  });
}

/** The exports of packages, each with the names of its members. */
export function readExports(packages: readonly string[]): Map<string, ReadonlyMap<string, ReadonlySet<string>>> {
  const paths = packages.map((name) => join(repositoryRoot, 'packages', name, 'src', 'index.ts'));
  const program = ts.createProgram(paths, options);
  const checker = program.getTypeChecker();
  return new Map(
    packages.map((name, index) => {
      const file = program.getSourceFile(paths[index] ?? '');
      const module = file === undefined ? undefined : checker.getSymbolAtLocation(file);
      const symbols = module === undefined ? [] : checker.getExportsOfModule(module);
      const members = symbols.map((exported): [string, ReadonlySet<string>] => {
        const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
        const type = checker.getDeclaredTypeOfSymbol(symbol);
        return [exported.name, new Set(checker.getPropertiesOfType(type).map((property) => property.name))];
      });
      return [name, new Map(members)];
    }),
  );
}
