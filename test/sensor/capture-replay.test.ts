import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Baseline } from "../../src/baseline/baseline.ts";
import { embeddedBase } from "../../src/fingerprint/base.ts";
import { replay } from "../../src/offline/replay.ts";
import { embeddedPolicies } from "../../src/policy/embedded.ts";
import { loadPolicies } from "../../src/policy/load.ts";
import type { Policy } from "../../src/policy/policy.ts";
import type { EventRecord } from "../../src/report/event-record.ts";
import { withComm } from "../../src/sensor/acct/accounted-facts.ts";
import { CaptureFile, CaptureInput } from "../../src/sensor/capture/file.ts";
import { openCapture } from "../../src/sensor/capture/read.ts";
import { CaptureWriter } from "../../src/sensor/capture/write.ts";
import type { ProcessFacts, ScannedProcess } from "../../src/sensor/event.ts";
import { factsFromEvents, nothingKnown } from "../../src/sensor/procfs/facts-reader.ts";
import { entry } from "../baseline/samples.ts";
import { header } from "./capture-arbitrary.ts";

const folder = mkdtempSync(join(tmpdir(), "treewarden-capture-"));
afterAll(() => rmSync(folder, { recursive: true }));

const policyText = JSON.stringify({
  role: "trial",
  rules: [
    {
      id: "shell-under-nginx",
      when: { and: [{ under: ["nginx"] }, { "==": [{ var: "process.executable.name" }, "dash"] }] },
      action: "kill",
      severity: "critical",
    },
    {
      id: "unknown",
      when: { "!": [{ var: "tree.known" }] },
      action: "alert",
    },
  ],
});

function policy(): Policy {
  const path = join(folder, "trial.json");
  const result = loadPolicies([path], {
    read: (name) => (name === path ? Buffer.from(policyText) : undefined),
    embedded: embeddedPolicies,
    searchPath: [],
  });
  if (result.policy === undefined) throw new Error("the trial's policy is broken");
  return result.policy;
}

function runs(executable: string, args: readonly string[], startTicks: number): ProcessFacts {
  const known = { ...factsFromEvents(nothingKnown), uid: 33, realUid: 33, startTicks };
  return {
    ...known,
    executable,
    args,
    cwd: "/",
    cgroup: "/",
    executableDeleted: false,
    executableMemfd: false,
  };
}

/** nginx was there; it forks a child that becomes a shell, and the clock is set meanwhile. */
function attack(write: (writer: CaptureWriter) => void = () => undefined): string {
  const path = join(folder, `capture-${Math.random()}`);
  using file = new CaptureFile(path);
  const writer = new CaptureWriter(
    (bytes) => file.write(bytes),
    header,
    (uid) => (uid === 33 ? "www-data" : undefined),
  );
  const nginx: ScannedProcess = {
    pid: 700,
    kernelThread: false,
    facts: { ...runs("/usr/sbin/nginx", ["nginx: worker process"], 900), parentPid: 1 },
  };
  writer.scan([nginx], 20e9);
  const source = "ebpf";
  writer.event({
    kind: "fork",
    source,
    time: 30e9,
    pid: 900,
    parentPid: 700,
    startTicks: 3000,
    startExact: true,
  });
  writer.clock(header.wall_offset_ns + 3600e9);
  const facts = runs("/usr/bin/dash", ["sh", "-c", "id"], 3000);
  writer.event({ kind: "exec", source, time: 30.001e9, pid: 900, facts });
  write(writer);
  writer.event({ kind: "exit", source, time: 30.002e9, pid: 900, status: 0 });
  writer.finish();
  return path;
}

function replayed(path: string, known?: Baseline): { lines: string; result: ReturnType<typeof replay> } {
  using input = new CaptureInput(path);
  const opened = openCapture(input.read);
  if (!opened.ok) throw new Error(opened.problem.kind);
  const records: EventRecord[] = [];
  const result = replay(opened.capture, {
    policy: policy(),
    base: embeddedBase,
    known,
    onRecord: (record) => records.push(record),
  });
  return { lines: records.map((record) => `${JSON.stringify(record)}\n`).join(""), result };
}

describe("replay", () => {
  test("gives the verdict that the policy would have given, on a host where nothing is killed", () => {
    const { lines, result } = replayed(attack());
    expect(result.tally.verdicts).toEqual({ allow: 1, alert: 0, kill: 1 });
    expect(JSON.parse(lines)).toMatchObject({
      "event.name": "policy.verdict",
      "policy.action": "kill",
      "policy.outcome": "would_kill",
      "security_rule.name": "shell-under-nginx",
      "process.pid": 900,
      "process.command_args": ["sh", "-c", "id"],
      "process.user.name": "www-data",
      "tree.exact": "/nginx/dash",
      "sensor.source": "ebpf",
    });
  });

  test("asks the baseline that comes with the policy; without one nothing is unknown", () => {
    const path = attack();
    const rulesOf = (known?: Baseline) =>
      replayed(path, known)
        .lines.split("\n")
        .filter((line) => line !== "")
        .map((line): unknown => JSON.parse(line)["policy.matched_rules"]);
    expect(rulesOf()).toEqual([["shell-under-nginx"]]);
    const known = new Baseline();
    known.add(entry("/nginx", { path: "/usr/sbin/nginx", complete: false }));
    expect(rulesOf(known)).toEqual([["shell-under-nginx", "unknown"]]);
    expect(rulesOf(new Baseline())).toEqual([["unknown"], ["shell-under-nginx", "unknown"]]);
  });

  test("stamps a verdict with the time it had on the host, also after its clock was set", () => {
    const [record] = replayed(attack()).lines.split("\n");
    const wall = new Date((header.wall_offset_ns + 3600e9 + 30.001e9) / 1e6).toISOString();
    expect(JSON.parse(record ?? "").timestamp.slice(0, 22)).toBe(wall.slice(0, 22));
  });

  test("gives the same bytes each time, record ids included", () => {
    const path = attack();
    const first = replayed(path).lines;
    expect(first).toContain("log.record.uid");
    expect(replayed(path).lines).toBe(first);
  });

  test("says how much the recording sensor lost", () => {
    const path = attack((writer) => {
      writer.event({ kind: "loss", source: "netlink", time: 31e9, reason: "overrun", count: 12 });
      writer.event({ kind: "loss", source: "netlink", time: 31e9, reason: "switch", count: undefined });
    });
    expect(replayed(path).result.tally).toMatchObject({ lost: 12, lossesUncounted: 1 });
  });

  test("puts a name that is only the process's word in brackets: it is no nginx to any rule", () => {
    const path = attack((writer) => {
      const source = "acct";
      const fork = { kind: "fork", source, parentPid: 1, startTicks: 3000, startExact: false } as const;
      writer.event({ ...fork, time: 30.1e9, pid: 950 });
      const facts = withComm(factsFromEvents(nothingKnown), "nginx");
      writer.event({ kind: "exec", source, time: 30.1e9, pid: 950, facts });
      writer.event({ ...fork, time: 30.2e9, pid: 951, parentPid: 950 });
      writer.event({
        kind: "exec",
        source,
        time: 30.2e9,
        pid: 951,
        facts: runs("/usr/bin/dash", ["sh"], 3020),
      });
    });
    const { lines, result } = replayed(path);
    expect(result.tally.verdicts.kill).toBe(1);
    expect(lines).not.toContain('"process.pid":951');
  });
});

describe("the file of a capture", () => {
  test("can be read by its owner alone, since it holds arguments", () => {
    expect(statSync(attack()).mode & 0o777).toBe(0o600);
  });

  test("is made where an empty file is, and its mode is made right", () => {
    const path = join(folder, "empty");
    writeFileSync(path, "", { mode: 0o644 });
    using file = new CaptureFile(path);
    file.write(Uint8Array.of(1));
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("never overwrites anything", () => {
    const path = join(folder, "precious");
    writeFileSync(path, "precious");
    expect(() => new CaptureFile(path)).toThrow(/not overwritten/);
    expect(readFileSync(path, "utf8")).toBe("precious");
  });

  test("is not made where a symbolic link leads", () => {
    const link = join(folder, "link");
    symlinkSync(join(folder, "elsewhere"), link);
    expect(() => new CaptureFile(link)).toThrow();
    expect(existsSync(join(folder, "elsewhere"))).toBe(false);
  });
});
