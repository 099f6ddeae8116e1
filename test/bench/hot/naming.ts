// What naming a program costs by itself: the same path again, a new name in a known directory, a path of new names.
import { createIdentifier } from "../../../src/fingerprint/identify.ts";
import type { RunnableFacts } from "../../../src/fingerprint/runnable.ts";
import { median } from "../table.ts";

const DIRECTORY = "/home/mallory/scratch/one";
const NAMES = 4_000;
/** The first rounds are the compiler's. */
const COLD_ROUNDS = 4;
const letters = "abcdefghijklmnopqrstuvwxyz0123456789";
const words = ["server", "build", "worker", "sync", "check", "report", "client", "cache", "mail", "proxy"];

/** Paths by what is new in them; each call gives another. */
const kinds: Readonly<Record<string, (random: () => number) => string>> = {
  "a known path": () => `${DIRECTORY}/known`,
  "a new random name in a known directory": (random) => `${DIRECTORY}/${text(random, 12)}`,
  "a new word-like name in a known directory": (random) =>
    `${DIRECTORY}/${word(random)}-${word(random)}-${text(random, 3)}`,
  "40 new random names": (random) => `/srv/${Array.from({ length: 40 }, () => text(random, 12)).join("/")}`,
};

function text(random: () => number, length: number): string {
  return Array.from({ length }, () => letters[Math.floor(random() * letters.length)]).join("");
}

function word(random: () => number): string {
  return words[Math.floor(random() * words.length)] ?? "";
}

/** us of CPU for each program, by kind: the median of `rounds`. */
export function namingCosts(rounds: number, random: () => number): readonly (readonly [string, number])[] {
  return Object.entries(kinds).map(([kind, path]) => {
    const times: number[] = [];
    for (let round = 0; round < rounds + COLD_ROUNDS; round++) times.push(roundOf(() => path(random)));
    return [kind, median(times.slice(COLD_ROUNDS))];
  });
}

function roundOf(path: () => string): number {
  // As the decoder makes them: flat texts, not the ropes that a concatenation gives.
  const all = Array.from({ length: NAMES }, () => factsOf(Buffer.from(path()).toString("latin1")));
  const identify = createIdentifier();
  identify(factsOf(`${DIRECTORY}/known`));
  const before = process.cpuUsage();
  for (const facts of all) identify(facts);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / NAMES;
}

function factsOf(executable: string): RunnableFacts {
  return {
    executable,
    executableMemfd: false,
    filename: executable,
    script: undefined,
    args: [executable],
    cwd: "/",
    uid: 1000,
  };
}
