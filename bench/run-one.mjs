// @ts-check
// One benchmark in a process of its own, started by run-bench.mjs: none is to run on the heap and the compiled code of
// another, and a large process takes longer to start the programs that are compared.
import { takePrintedResults } from './measure.mjs';

const [name] = process.argv.slice(2);

process.once('message', async (/** @type {readonly unknown[]} */ benchmarkArguments) => {
  const { default: benchmark } = await import(new URL(`./${name}.mjs`, import.meta.url).href);
  await benchmark(...benchmarkArguments);
  process.send?.(takePrintedResults(), () => process.disconnect());
});
