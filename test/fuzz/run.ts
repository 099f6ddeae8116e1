// `npm run fuzz -- [--inputs N] [--seed S] [--only NAME]`: every parser of hostile bytes, on mutations of a saved
// corpus. Prints a row of figures for each; ends with 1 at a failure, whose input it adds to the corpus.
import { parseArgs } from "node:util";
import { addToCorpus } from "./corpus.ts";
import { type FuzzFigures, fuzz } from "./fuzz.ts";
import { targets } from "./targets.ts";

const { values } = parseArgs({
  options: {
    inputs: { type: "string", default: "1000000" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
  },
});

function wholeNumber(text: string, option: string): number {
  if (/^\d{1,12}$/.test(text)) return Number(text);
  console.error(`fuzz: --${option} must be a whole number, not ${text}`);
  process.exit(2);
}

const inputs = wholeNumber(values.inputs, "inputs");
const seed = wholeNumber(values.seed, "seed");
const chosen = targets.filter(({ name }) => values.only === undefined || name === values.only);
if (chosen.length === 0) {
  console.error(`fuzz: no parser ${values.only}; there are ${targets.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}

const weights = chosen.reduce((sum, { weight }) => sum + weight, 0);
let total = 0;
let seconds = 0;
console.log("| parser | inputs | a second | seconds | slowest, ms | failures |");
console.log("|---|---|---|---|---|---|");
for (const target of chosen) {
  const figures = await fuzz(target, Math.ceil((inputs * target.weight) / weights), seed);
  target.end?.();
  console.log(rowOf(target.name, figures));
  total += figures.inputs;
  seconds += figures.seconds;
  const { failure } = figures;
  if (failure === undefined) continue;
  process.exitCode = 1;
  console.error(`fuzz: ${target.name}: ${failure.why}`);
  if (failure.input === undefined) continue;
  const path = addToCorpus(
    target.name,
    `found with seed ${seed}: ${failure.why.split("\n")[0]}`,
    failure.input,
  );
  console.error(`fuzz: the input was added to ${path}`);
}
console.log(`\n${total} inputs in ${seconds.toFixed(0)} s, seed ${seed}`);
process.exit(process.exitCode);

function rowOf(name: string, { inputs, seconds, slowestMs, failure }: FuzzFigures): string {
  const rate = Math.round(inputs / seconds);
  return `| ${name} | ${inputs} | ${rate} | ${seconds.toFixed(1)} | ${slowestMs.toFixed(1)} | ${failure === undefined ? 0 : 1} |`;
}
