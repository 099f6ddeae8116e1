// Ordinary words, English and technical: those that the descriptions of Debian's packages and the manual pages of what
// is installed have in common. Descriptions are fetched with apt-get (20 MB) into a folder of its own. A word counts
// if several source packages use it.
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { heldOut, output } from "./randomness-names.ts";

const manual = /^\/usr\/share\/man\/man[1-8]\/[^/]+\.gz$/;
/** Requests, escapes and options of roff(7) are no words. */
const markup = /^['.][A-Za-z\\].*$|\\(?:f.|\(..|\*.|s[-+]?[0-9])|--?[\w-]+/gm;
const word = /(?<![\w/.@=$%<-])[A-Z]?[a-z]{3,20}(?![\w/@=(>-])/g;

/** Word, in lower case, to the number of source packages that use it. Sources that are held out are left out. */
export function collectWords(): Map<string, number> {
  const users = new Map<string, Set<string>>();
  const take = (source: string, text: string): void => {
    if (heldOut(source)) return;
    for (const [found] of text.matchAll(word)) {
      const lower = found.toLowerCase();
      const known = users.get(lower);
      if (known === undefined) users.set(lower, new Set([source]));
      else known.add(source);
    }
  };
  const sources = sourcesOfPackages();
  for (const stanza of descriptions().split("\n\n")) {
    const name = /^Package: (\S+)/m.exec(stanza)?.[1] ?? "";
    take(sources.get(name) ?? name, /^Description-en: (.+(?:\n .*)*)/m.exec(stanza)?.[1] ?? "");
  }
  const format = "$" + "{binary:Package} $" + "{source:Package}\n";
  for (const line of output("dpkg-query", "-W", "-f", format).trim().split("\n")) {
    const [binary = "", source = ""] = line.split(" ");
    if (heldOut(source)) continue;
    for (const path of output("dpkg-query", "-L", binary).split("\n")) {
      if (manual.test(path)) take(source, pageText(path));
    }
  }
  return new Map([...users].map(([found, { size }]) => [found, size]));
}

function sourcesOfPackages(): Map<string, string> {
  const found = new Map<string, string>();
  for (const stanza of output("apt-cache", "dumpavail").split("\n\n")) {
    const name = /^Package: (\S+)/m.exec(stanza)?.[1];
    const source = /^Source: (\S+)/m.exec(stanza)?.[1];
    if (name !== undefined && source !== undefined) found.set(name, source);
  }
  return found;
}

function descriptions(): string {
  const folder = mkdtempSync(join(tmpdir(), "randomness-words-"));
  try {
    const lists = join(folder, "lists");
    mkdirSync(join(lists, "partial"), { recursive: true });
    const places = ["-o", `Dir::State::lists=${lists}`, "-o", `Dir::Cache=${folder}`];
    output("apt-get", "update", "-q", "-o", "Acquire::Languages=en", ...places);
    const files = readdirSync(lists).filter((file) => file.includes("_Translation-en"));
    return files.map((file) => output("/usr/lib/apt/apt-helper", "cat-file", join(lists, file))).join("\n\n");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function pageText(path: string): string {
  const { exitCode, stdout } = Bun.spawnSync(["gzip", "-dcf", path], { stderr: "ignore" });
  return exitCode === 0 ? stdout.toString("latin1").replace(markup, " ") : "";
}
