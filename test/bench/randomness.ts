// How well random names are told from real ones, and how fast a runnable is identified: prints the tables of
// docs/fingerprint.md. `bun test/bench/randomness.ts`; on a host without dpkg the installed names are left out.
import { alphabets, collectNames, dice, draw } from "../../build/randomness-names.ts";
import { foldElement } from "../../src/fingerprint/fold.ts";
import { createIdentifier } from "../../src/fingerprint/identify.ts";
import { RANDOM_FROM } from "../../src/fingerprint/randomness.ts";
import type { RunnableFacts } from "../../src/fingerprint/runnable.ts";
import { scoreName } from "../fingerprint/score-name.ts";

const DRAWS = 5000;
const seed = dice(271_828);
const WORST = 20;
const print = (line: string): void => void process.stdout.write(`${line}\n`);
const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(2)} %`;

interface Scored {
  readonly name: string;
  readonly score: number;
}

/** As a path element is scored: folded first. */
function score(name: string, within: string): number {
  return scoreName(foldElement(name, within).scored, within);
}

function scored(names: Iterable<string>, within: string): Scored[] {
  return [...new Set(names)].map((name) => ({ name, score: score(name, within) }));
}

function mistakes(
  list: readonly Scored[],
  wrong: (score: number) => boolean,
  worstFirst: (a: Scored, b: Scored) => number,
) {
  return list.filter((entry) => wrong(entry.score)).sort(worstFirst);
}

function show(entries: readonly Scored[]): string {
  return entries
    .slice(0, WORST)
    .map(({ name, score }) => `\`${name}\` ${score.toFixed(2)}`)
    .join(", ");
}

const heldOut = (await Bun.file(new URL("randomness-heldout.tsv", import.meta.url)).text())
  .trim()
  .split("\n");
const byKind = new Map<string, string[]>();
for (const line of heldOut) {
  const [kind = "", name = ""] = line.split("\t");
  byKind.set(kind, [...(byKind.get(kind) ?? []), name]);
}

print("### Real names\n");
print("| names | how many | called random |");
print("|---|---|---|");
const all: Scored[] = [];
for (const [kind, names] of byKind) {
  const list = scored(names, "/usr/share");
  all.push(...list);
  print(
    `| held out, in no package of the training: ${kind} | ${list.length} | ${percent(mistakes(list, isRandom, descending).length, list.length)} |`,
  );
}
print(
  `| all that were held out | ${all.length} | ${percent(mistakes(all, isRandom, descending).length, all.length)} |`,
);
if (Bun.which("dpkg-query") !== null) {
  const installed = collectNames().filter(({ kind }) => kind === "directory" || kind === "executable");
  const list = scored(
    installed.map(({ name }) => name),
    "/usr/share",
  );
  print(
    `| every directory and executable installed here (most of them seen in training) | ${list.length} | ${percent(mistakes(list, isRandom, descending).length, list.length)} |`,
  );
}

print("\n### Random names: found\n");
const lengths = [8, 10, 12, 16, 24, 32] as const;
print(`| kind | ${lengths.join(" | ")} |`);
print(`|---|${lengths.map(() => "---").join("|")}|`);
const missed: Scored[] = [];
for (const [kind, alphabet] of Object.entries(alphabets)) {
  const cells = lengths.map((length) => {
    const list = scored(draws(alphabet, length), "/opt");
    const wrong = mistakes(list, isGiven, ascending);
    if (kind !== "lower case letters" && kind !== "upper case letters") missed.push(...wrong);
    return percent(list.length - wrong.length, list.length);
  });
  print(`| ${kind} | ${cells.join(" | ")} |`);
}
const shaped: readonly (readonly [string, string, () => string])[] = [
  ["UUID", "/opt", () => crypto.randomUUID()],
  ["container id (64 hexadecimal digits)", "/opt", () => draw(alphabets.hex, 64, roll)],
  ["container id, short (12)", "/opt", () => draw(alphabets.hex, 12, roll)],
  ["mktemp, six characters: tmp.XXXXXX in /tmp", "/tmp", () => `tmp.${draw(alphabets.base62, 6, roll)}`],
  ["mktemp, six characters: x.XXXXXX in /tmp", "/tmp", () => `x.${draw(alphabets.base62, 6, roll)}`],
  ["mktemp, six characters: XXXXXX in /var/tmp", "/var/tmp", () => draw(alphabets.base62, 6, roll)],
  ["mktemp: tmp.XXXXXXXXXX in /tmp", "/tmp", () => `tmp.${draw(alphabets.base62, 10, roll)}`],
  [
    "tempfile of Python: tmpXXXXXXXX in /tmp",
    "/tmp",
    () => `tmp${draw(alphabets["tempfile of Python"], 8, roll)}`,
  ],
  [
    "tempfile of Python: tmpXXXXXXXX elsewhere",
    "/opt",
    () => `tmp${draw(alphabets["tempfile of Python"], 8, roll)}`,
  ],
  ["a word, then 16 hexadecimal digits", "/opt", () => `agent-${draw(alphabets.hex, 16, roll)}`],
];
print("\n| shape | found |");
print("|---|---|");
for (const [kind, within, make] of shaped) {
  const list = scored(Array.from({ length: DRAWS }, make), within);
  const wrong = mistakes(list, isGiven, ascending);
  missed.push(...wrong);
  print(`| ${kind} | ${percent(list.length - wrong.length, list.length)} |`);
}

print(`\n### The ${WORST} worst mistakes of each kind\n`);
print(`Real, called random: ${show(mistakes(all, isRandom, descending))}\n`);
const [numbers, others] = [missed.filter(isNumber), missed.filter((entry) => !isNumber(entry))];
print(`Random, not found: ${show(others.sort(ascending))}`);
print(`\nAnd ${numbers.length} of digits only, which are folded as numbers or look like dates.`);

print("\n### Time to identify a runnable\n");
const identify = createIdentifier();
const paths = Array.from(
  { length: 200_000 },
  () => `/opt/${draw(alphabets.hex, 12, roll)}/lib/bin/worker-${draw(alphabets.hex, 8, roll)}`,
);
const cold = time(paths.map((path) => facts(path)));
const warm = time(Array.from({ length: 200_000 }, (_, at) => facts(`/usr/bin/tool${at % 50}`)));
const scripts = time(
  Array.from({ length: 200_000 }, (_, at) =>
    facts("/usr/bin/python3.11", ["python3", "-u", `/srv/app${at % 50}.py`]),
  ),
);
print("| | us |");
print("|---|---|");
print(`| cold: never seen path of four elements, two of them random | ${cold.toFixed(2)} |`);
print(`| warm: a program | ${warm.toFixed(2)} |`);
print(`| warm: a script of an interpreter | ${scripts.toFixed(2)} |`);

function isNumber({ name }: Scored): boolean {
  return /^[0-9]+$/.test(name);
}

function roll(): number {
  return seed();
}

function draws(alphabet: string, length: number): string[] {
  return Array.from({ length: DRAWS }, () => draw(alphabet, length, roll));
}

function isRandom(score: number): boolean {
  return score >= RANDOM_FROM;
}

function isGiven(score: number): boolean {
  return score < RANDOM_FROM;
}

function descending(a: Scored, b: Scored): number {
  return b.score - a.score;
}

function ascending(a: Scored, b: Scored): number {
  return a.score - b.score;
}

function facts(executable: string, args?: readonly string[]): RunnableFacts {
  return { executable, executableMemfd: false, filename: undefined, script: undefined, args, cwd: "/" };
}

/** Microseconds for each. */
function time(list: readonly RunnableFacts[]): number {
  const begin = performance.now();
  for (const one of list) identify(one);
  return ((performance.now() - begin) * 1000) / list.length;
}
