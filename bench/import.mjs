// @ts-check
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { inTurn, median, printResults, verdict } from './measure.mjs';

const bounds = { '@crikit/core': 10, '@crikit/engine-docker': 25 };

/** @param {string} script */
async function node(script) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: import.meta.dirname,
    stdio: 'inherit',
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`node ended with ${code}`);
}

export default async function benchImport() {
  const names = Object.keys(bounds);
  const times = await inTurn(
    { empty: () => node(''), ...Object.fromEntries(names.map((name) => [name, () => node(`import '${name}'`)])) },
    { rounds: 25 },
  );
  const empty = times.empty ?? [];
  const rows = Object.entries(bounds).map(([name, bound]) => {
    const overEmpty = median((times[name] ?? []).map((value, index) => value - (empty[index] ?? 0)));
    return [name, median(times[name] ?? []), ...verdict(overEmpty, '<=', bound)];
  });
  printResults('import, whole process (ms)', [
    ['what', 'median', 'over empty', 'wanted', 'met'],
    ['empty Node', median(empty), '', '', ''],
    ...rows,
  ]);
}
