// Writes src/fingerprint/base-list.json: what the packages that Debian marks essential, required, important or
// standard put into the directories of programs. Recipe: on Debian 12, `bun build/base-list.ts`; it downloads those
// packages (45 MB) with apt-get into a folder of its own and only lists them.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const directories = /^\.(?:\/usr)?\/(?:local\/)?(?:bin|sbin|games)\/([^/]+)$/;
const priorities: ReadonlySet<string> = new Set(["required", "important", "standard"]);

function output(command: readonly string[], cwd: string): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], { cwd });
  if (exitCode !== 0) throw new Error(`${command.slice(0, 2).join(" ")}: ${stderr.toString()}`);
  return stdout.toString();
}

interface Package {
  readonly name: string;
  readonly priority: string;
  readonly essential: boolean;
}

function marked(): Package[] {
  const found = new Map<string, Package>();
  for (const stanza of output(["apt-cache", "dumpavail"], "/").split("\n\n")) {
    const name = /^Package: (.+)$/m.exec(stanza)?.[1];
    const priority = /^Priority: (.+)$/m.exec(stanza)?.[1] ?? "";
    const essential = /^Essential: yes$/m.test(stanza);
    if (name !== undefined && (essential || priorities.has(priority)))
      found.set(name, { name, priority, essential });
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Programs in `bin`; what lies in `sbin` is a service or an administrator's tool, and keeps its name. */
function programsOf(archive: string, cwd: string): string[] {
  const names: string[] = [];
  for (const line of output(["dpkg-deb", "-c", archive], cwd).split("\n")) {
    const [mode = "", , , , , path = ""] = line.split(/\s+/);
    const name = directories.exec(path)?.[1];
    if (name === undefined || path.includes("sbin/") || !(mode.startsWith("l") || mode.includes("x")))
      continue;
    names.push(name);
  }
  return names.sort();
}

const folder = mkdtempSync(join(tmpdir(), "base-list-"));
try {
  const packages = marked();
  output(["apt-get", "download", ...packages.map(({ name }) => name)], folder);
  const listed: { package: string; priority: string; programs: readonly string[] }[] = [];
  for (const { name, priority, essential } of packages) {
    const archive = [...new Bun.Glob(`${name}_*.deb`).scanSync(folder)][0];
    if (archive === undefined) throw new Error(`${name}: not downloaded`);
    const programs = programsOf(archive, folder);
    if (programs.length > 0)
      listed.push({ package: name, priority: essential ? "essential" : priority, programs });
  }
  const release = /^PRETTY_NAME="(.*)"$/m.exec(await Bun.file("/etc/os-release").text())?.[1] ?? "unknown";
  const lines = listed.map((entry) => ` ${JSON.stringify(entry)}`).join(",\n");
  await Bun.write(
    new URL("../src/fingerprint/base-list.json", import.meta.url),
    `{"recipe": "bun build/base-list.ts", "release": ${JSON.stringify(release)}, "packages": [\n${lines}\n]}\n`,
  );
  process.stderr.write(`${listed.length} packages\n`);
} finally {
  rmSync(folder, { recursive: true });
}
