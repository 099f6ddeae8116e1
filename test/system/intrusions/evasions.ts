// Evasions of a baseline that knows trees alone: what runs has the tree, the path or the name of something known, but is
// something else. Each payload is harmless; each puts back what it has changed. The numbers are those of a trial on a
// learned server.
import { copyFileSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type { Site } from "../site.ts";

export interface Evasion {
  readonly name: string;
  /** The shipped rule that notices it. */
  readonly rule: string;
  /** `isNoticed`: for what is noticed once a file was examined, which takes a while. */
  readonly act: (site: Site, isNoticed: () => boolean) => Promise<void>;
}

/** Of a program that is noticed once its file was examined: at the second, unless the host is busy. */
const STARTS = 20;
const LOADER = "/lib64/ld-linux-x86-64.so.2";

/** A library that does nothing, outside of /tmp; its path. */
function library(site: Site): string {
  const [source, built] = [site.path("run", "in.c"), site.path("run", "in.so")];
  writeFileSync(source, "int treewarden_test_harmless;\n");
  const made = Bun.spawnSync(["gcc", "-shared", "-fPIC", "-o", built, source]);
  if (!made.success) throw new Error(made.stderr.toString());
  return built;
}

/** By the mistake in the status script, as the web server's user. */
async function web(site: Site, command: string): Promise<void> {
  const status = await site.server.post(`/ ; ${command}`);
  if (status !== 200) throw new Error(`the web server answered ${status}`);
}

/** Another file lies at a path while `act` runs. */
async function replaced(path: string, by: (path: string) => void, act: () => Promise<void>): Promise<void> {
  renameSync(path, `${path}.kept`);
  try {
    by(path);
    await act();
  } finally {
    rmSync(path, { force: true });
    renameSync(`${path}.kept`, path);
  }
}

async function restartCron(site: Site): Promise<void> {
  await site.server.stopCron();
  await site.server.startCron();
}

export const evasions: readonly Evasion[] = [
  {
    name: "D3: a known script replaced by a program of the same path",
    rule: "unknown-tree",
    act: (site) =>
      replaced(
        site.path("jobs", "clock"),
        (path) => copyFileSync("/usr/bin/true", path),
        () => restartCron(site),
      ),
  },
  {
    name: "D3: the loader with --preload and a known program",
    rule: "unknown-tree",
    act: (site) => web(site, `${LOADER} --preload ${library(site)} /usr/bin/df /`),
  },
  {
    name: "D3: the loader with --library-path and a known program",
    rule: "unknown-tree",
    act: (site) => web(site, `${LOADER} --library-path ${site.path("run")} /usr/bin/df /`),
  },
  {
    name: "D3: a known script by an interpreter's copy that no package owns",
    rule: "unknown-tree",
    act: async (site) => {
      const copy = site.path("run", "python3");
      copyFileSync("/usr/bin/python3", copy);
      await site.count(copy);
    },
  },
  {
    name: "D3: a known script with other content, which starts only what it started before",
    rule: "changed-runnable",
    act: (site) =>
      replaced(
        site.path("jobs", "clock"),
        (path) => site.server.script(path.slice(site.path().length + 1), "#!/bin/sh\ndate -u\n: intruder\n"),
        () => restartCron(site),
      ),
  },
  {
    name: "D3: another program mounted over a packaged one",
    rule: "modified-executable",
    act: async (site, isNoticed) => {
      const program = site.path("run", "another");
      writeFileSync(program, readFileSync("/usr/bin/cat"), { mode: 0o755 });
      // The host's own namespace: only there it is the packaged file's path.
      const mounted = Bun.spawnSync(["mount", "--bind", program, "/usr/bin/ptx"]);
      if (!mounted.success) throw new Error(mounted.stderr.toString());
      try {
        for (let start = 0; start < STARTS && !isNoticed(); start += 1) {
          await site.server.words("c d");
          await Bun.sleep(500);
        }
      } finally {
        Bun.spawnSync(["umount", "/usr/bin/ptx"]);
      }
    },
  },
  {
    name: "D4: LD_PRELOAD of a library outside of /tmp, into a known program",
    rule: "preload-for-service",
    act: (site) => web(site, `LD_PRELOAD=${library(site)} df /`),
  },
  {
    name: "D4: LD_AUDIT, into a known program",
    rule: "audit-library",
    act: (site) => web(site, `LD_AUDIT=${library(site)} df /`),
  },
  {
    name: "D4: BASH_ENV for what a service starts",
    rule: "startup-file-for-service",
    act: (site) => web(site, `BASH_ENV=${site.path("run", "begin")} df /`),
  },
  {
    name: "D4: PYTHONPATH for a service's own Python",
    rule: "code-by-environment",
    act: (site) => site.count("/usr/bin/python3", { PYTHONPATH: "/var/tmp/treewarden-test-modules" }),
  },
];
