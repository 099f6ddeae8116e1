// The systemd unit that is shipped.
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { processRoles, systemCallsOf } from "../../src/hardening/privileges.ts";
import { crashSignals } from "../../src/supervisor/crashes.ts";

const unit = readFileSync(join(import.meta.dir, "../../packaging/systemd/treewarden.service"), "utf8");

/** The words of a setting that is there once. */
function words(setting: string): readonly string[] {
  const lines = [...unit.matchAll(new RegExp(`^${setting}=(.*)$`, "gm"))];
  expect(lines.length).toBe(1);
  return (lines[0]?.[1] ?? "").split(" ");
}

test("a supervisor that a signal ended is no failure of the unit: its standby has taken over", () => {
  expect(words("SuccessExitStatus").toSorted()).toEqual(["SIGKILL", ...crashSignals].toSorted());
});

test("a process that is ended for want of memory ends no other, and nothing ends the unit as a whole", () => {
  expect(words("OOMPolicy")).toEqual(["continue"]);
  expect(words("ManagedOOMPreference")).toEqual(["omit"]);
});

test("an exit code that refuses to start is still a failure", () => {
  expect(words("RestartPreventExitStatus")).toEqual(["2", "3"]);
  expect(words("SuccessExitStatus").filter((word) => /^\d+$/.test(word))).toEqual([]);
});

test("a reload reaches the treewarden that holds the state directory, and no process by a pid in a file", () => {
  expect(words("ExecReload")).toEqual(["/usr/bin/treewarden", "reload"]);
});

test("a service that starts by default comes after it, and waits until the sensor is subscribed", () => {
  expect(words("Type")).toEqual(["notify"]);
  expect(words("DefaultDependencies")).toEqual(["no"]);
  expect(words("Before")).toContain("sysinit.target");
  expect(words("Conflicts")).toEqual(["shutdown.target"]);
});

test("a supervisor that was a standby can report too", () => {
  expect(words("NotifyAccess")).toEqual(["all"]);
});

/** The calls of a group, which systemd itself knows; groups contain groups. */
function callsOfGroup(group: string): readonly string[] {
  const { stdout } = Bun.spawnSync(["systemd-analyze", "syscall-filter", group]);
  const lines = stdout.toString().split("\n").slice(1);
  return lines
    .map((line) => line.trim())
    .flatMap((name) => (name.startsWith("@") ? callsOfGroup(name) : name.startsWith("#") ? [] : [name]));
}

// Not every machine that runs the tests has systemd.
if (Bun.which("systemd-analyze") !== null)
  test("the unit allows every system call that one of the processes may make", () => {
    const allowed = new Set(
      words("SystemCallFilter").flatMap((word) => (word.startsWith("@") ? callsOfGroup(word) : word)),
    );
    const mode = {
      source: "auto",
      enforcement: "kill",
      mail: true,
      network: true,
      setIdMail: false,
      evidence: false,
      exports: true,
    } as const;
    const all = processRoles.flatMap((role) => [...systemCallsOf(role, mode).keys()]);
    expect(all.filter((call) => !allowed.has(call))).toEqual([]);
    // What processes do before they filter themselves.
    for (const call of ["execve", "execveat", "clone3", "capset", "setrlimit", "chown", "seccomp", "kcmp"])
      expect(allowed).toContain(call);
  });

/** A file of this text, as systemd-analyze wants it: with the name of a unit. */
function withUnitFile<T>(text: string, use: (path: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "treewarden-unit-"));
  try {
    const path = join(folder, "treewarden.service");
    writeFileSync(path, text);
    return use(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What `systemd-analyze security` says of a unit: 0 (best) to 10. Undefined for a systemd before 250, which cannot read a file. */
function exposure(text: string): number | undefined {
  const { stdout } = withUnitFile(text, (path) =>
    Bun.spawnSync(["systemd-analyze", "security", "--offline=true", "--no-pager", path]),
  );
  const [, level] = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout.toString()) ?? [];
  return level === undefined ? undefined : Number(level);
}

if (Bun.which("systemd-analyze") !== null)
  test("systemd rates the unit as the documentation says, and at most 2.0 where nothing leaves over the network", () => {
    const sealed = readFileSync(join(import.meta.dir, "../../packaging/systemd/sealed.conf"), "utf8");
    const [shipped, withoutNetwork] = [exposure(unit), exposure(`${unit}\n${sealed}`)];
    if (shipped === undefined || withoutNetwork === undefined) return;
    // A newer systemd may look at more.
    expect(shipped).toBeWithin(3, 3.7);
    expect(withoutNetwork).toBeLessThanOrEqual(2);
  });

if (Bun.which("systemd-analyze") !== null)
  test("systemd finds nothing wrong with the unit", () => {
    // The command need not be installed where the tests run.
    withUnitFile(unit.replaceAll("=/usr/bin/treewarden", "=/bin/true"), (path) => {
      const verify = Bun.spawnSync(["systemd-analyze", "verify", path]);
      // It also complains of the host's own units.
      const complaints = verify.stderr.toString().split("\n");
      expect(complaints.filter((line) => line.includes("treewarden.service"))).toEqual([]);
    });
  });
