// Trains the model of randomness and writes src/fingerprint/randomness-weights.json, the ordinary words beside it
// (randomness-words.json), and the names held out for the benchmark. Recipe: on Debian 12 with many packages installed,
// `bun build/randomness-train.ts`. Deterministic for one set of packages. Takes about a minute.
import { FEATURES, featuresOf, STEPS, WEIGHTS } from "../src/fingerprint/randomness-features.ts";
import { alphabets, collectNames, dice, draw, heldOut } from "./randomness-names.ts";
import { collectWords } from "./randomness-words.ts";

const EPOCHS = 12;
const RATE = 0.15;
/** No name shorter than this is ever scored. */
const SHORTEST = 6;
/** Held-out package names kept for the benchmark: every third is plenty. */
const PACKAGE_NAMES_KEPT = 3;

const roll = dice(20_240_229);
const below = (limit: number): number => Math.floor(roll() * limit);

const given = new Set<string>();
const testing = new Map<string, string>();
const sourced = collectNames();
for (const { source, name } of sourced) if (!heldOut(source)) given.add(name);
for (const { source, kind, name } of sourced) {
  if (heldOut(source) && kind !== "file" && !given.has(name)) testing.set(name, kind);
}

/** Digests and identifiers of distributions are real names, but nothing to learn from. */
const digest = /[0-9a-f]{16,}|[0-9A-F]{16,}|[0-9a-f]{8}-[0-9a-f]{4}-/;

const real = new Set<string>();
for (const name of given) {
  if (digest.test(name)) continue;
  for (const part of [name, ...name.split(/[^A-Za-z0-9]+/)]) if (part.length >= SHORTEST) real.add(part);
}

/** Shorter words count only if several packages use them, and only as parts of longer ones. */
const WORD = 6;
const SHORT_WORD = 4;
/** A word that is part of a held-out name is let in if so many others use it: it is no leak of that name. */
const COMMON = 3;

const kept = new Set<string>();
for (const name of testing.keys())
  for (const part of name.toLowerCase().split(/[^a-z]+/)) if (!real.has(part)) kept.add(part);
const ordinary = [...collectWords()]
  .filter(([word, users]) => word.length >= WORD || (word.length >= SHORT_WORD && users >= 2))
  .filter(([word, users]) => users >= COMMON || !kept.has(word))
  .map(([word]) => word)
  .sort();
for (const word of ordinary) if (word.length >= SHORTEST) real.add(word);
const reals = [...real].sort();
const words = reals.filter((name) => /^[A-Za-z]{6,12}$/.test(name));

const mixture: readonly (readonly [string, number])[] = [
  [alphabets.hex, 2],
  [alphabets.HEX, 0.5],
  [alphabets["base32, lower case"], 2],
  [alphabets.base32, 2],
  [alphabets.base36, 2],
  [alphabets.base62, 3],
  [alphabets.base64url, 2],
  [alphabets["tempfile of Python"], 1],
  [alphabets["lower case letters"], 1],
  [alphabets["letters of both cases"], 0.7],
  [alphabets["upper case letters"], 0.2],
];
const total = mixture.reduce((sum, [, share]) => sum + share, 0);

function drawn(): string {
  let left = roll() * total;
  let alphabet: string = alphabets.hex;
  for (const [candidate, share] of mixture) {
    alphabet = candidate;
    left -= share;
    if (left < 0) break;
  }
  const luck = roll();
  const length =
    luck < 0.25 ? 6 + below(2) : luck < 0.6 ? 8 + below(3) : luck < 0.8 ? 10 + below(5) : 12 + below(30);
  return draw(alphabet, length, roll);
}

/** A real name, at times as names become elsewhere: numbered, dated, joined with another, in capitals. */
function named(): string {
  const name = reals[below(reals.length)] ?? "";
  const luck = roll();
  if (luck < 0.1) return name + (roll() < 0.5 ? "-" : "") + number();
  if (luck < 0.12) return number() + name;
  if (luck < 0.2) return word() + word();
  if (luck < 0.24) return capital(word()) + capital(word());
  if (luck < 0.26) return name.toUpperCase();
  if (luck < 0.27)
    return `${word().slice(0, 2 + below(4))}${roll() < 0.8 ? 2 : 4}${word().slice(0, 3 + below(5))}`;
  return name;
}

function word(): string {
  return words[below(words.length)] ?? "";
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function number(): string {
  const luck = roll();
  if (luck < 0.5) return String(below(100));
  if (luck < 0.7) return `${1990 + below(40)}${String(101 + below(1130)).padStart(4, "0")}`;
  return String(Math.floor(10 ** (1 + roll() * 6)));
}

const weights = new Float32Array(WEIGHTS);
const squares = new Float32Array(WEIGHTS).fill(1e-3);
const features = new Int32Array(FEATURES);

/** One step of AdaGrad on the logistic loss. */
function learn(name: string, random: 0 | 1, rate: number): void {
  const count = featuresOf(name, features);
  let sum = 0;
  for (let at = 0; at < count; at++) sum += weights[features[at] ?? 0] ?? 0;
  const slope = 1 / (1 + Math.exp(-sum)) - random;
  if (Math.abs(slope) < 1e-4) return;
  for (let at = 0; at < count; at++) {
    const feature = features[at] ?? 0;
    squares[feature] = (squares[feature] ?? 0) + slope * slope;
    weights[feature] = (weights[feature] ?? 0) - (rate * slope) / Math.sqrt(squares[feature] ?? 1);
  }
}

for (let epoch = 0; epoch < EPOCHS; epoch++) {
  const rate = RATE * (1 - (0.9 * epoch) / EPOCHS);
  for (let at = 0; at < reals.length; at++) {
    learn(named(), 0, rate);
    learn(drawn(), 1, rate);
  }
}

const bytes = new Int8Array(WEIGHTS);
for (let at = 0; at < WEIGHTS; at++)
  bytes[at] = Math.max(-127, Math.min(127, Math.round((weights[at] ?? 0) * STEPS)));
const packed = Bun.deflateSync(new Uint8Array(bytes.buffer), { level: 9 });

const release = /^PRETTY_NAME="(.*)"$/m.exec(await Bun.file("/etc/os-release").text())?.[1] ?? "unknown";
await Bun.write(
  new URL("../src/fingerprint/randomness-weights.json", import.meta.url),
  `${JSON.stringify(
    {
      recipe: "bun build/randomness-train.ts",
      trained: `${release}: ${given.size} names, ${reals.length} parts, ${EPOCHS} epochs`,
      weights: Buffer.from(packed).toString("base64"),
    },
    null,
    1,
  )}\n`,
);
await Bun.write(
  new URL("../src/fingerprint/randomness-words.json", import.meta.url),
  `${JSON.stringify(
    {
      recipe: "bun build/randomness-train.ts",
      from: `${release}: ${ordinary.length} words of descriptions and manual pages`,
      words: Buffer.from(Bun.deflateSync(Buffer.from(ordinary.join("\n")), { level: 9 })).toString("base64"),
    },
    null,
    1,
  )}\n`,
);
let packages = 0;
const held = [...testing]
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .filter(([, kind]) => kind !== "package" || packages++ % PACKAGE_NAMES_KEPT === 0)
  .map(([name, kind]) => `${kind}\t${name}\n`);
await Bun.write(new URL("../test/bench/randomness-heldout.tsv", import.meta.url), held.join(""));
process.stderr.write(
  `${given.size} names to learn from, ${testing.size} held out, ${packed.length} bytes of weights\n`,
);
