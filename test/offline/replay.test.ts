import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatBaseline } from "../../src/baseline/baseline-file.ts";
import type { BaselineEntry } from "../../src/baseline/entry.ts";
import { replay } from "../../src/offline/replay.ts";
import { embeddedPolicies } from "../../src/policy/embedded.ts";
import { loadPolicies } from "../../src/policy/load.ts";
import type { Policy } from "../../src/policy/policy.ts";
import type { RoleBaseline } from "../../src/policy/role-baseline.ts";
import type { EventRecord } from "../../src/report/event-record.ts";
import { withComm } from "../../src/sensor/acct/accounted-facts.ts";
import { CaptureFile, CaptureInput } from "../../src/sensor/capture/capture-file.ts";
import { openCapture } from "../../src/sensor/capture/capture-reader.ts";
import { CaptureWriter } from "../../src/sensor/capture/capture-writer.ts";
import type { PeerItem } from "../../src/sensor/capture/items.ts";
import type { ProcessFacts, ScannedProcess } from "../../src/sensor/event.ts";
import { factsFromEvents, nothingKnown } from "../../src/sensor/procfs/facts-reader.ts";
import { entry, NOON } from "../baseline/samples.ts";
import { header } from "../sensor/capture-arbitrary.ts";

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
      when: { "!": [{ var: ["tree.known", true] }] },
      action: "alert",
    },
    {
      id: "elsewhere",
      on: ["connect"],
      when: { "==": [{ var: ["destination.name", ""] }, "elsewhere.example"] },
      action: "alert",
    },
    {
      id: "new-peer",
      on: ["connect"],
      when: { "!": [{ var: ["destination.known", true] }] },
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
    (frame) => file.write(frame),
    header,
    (uid) => (uid === 33 ? "www-data" : undefined),
  );
  const nginx: ScannedProcess = {
    pid: 700,
    kernelThread: false,
    facts: { ...runs("/usr/sbin/nginx", ["nginx: worker process"], 900), parentPid: 1 },
  };
  writer.scan([nginx], 20e9);
  writer.add("scan_end", { kind: "scan_end" });
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
  writer.clock(header.wallOffset + 3600e9, 0);
  const facts = runs("/usr/bin/dash", ["sh", "-c", "id"], 3000);
  writer.event({ kind: "exec", source, time: 30.001e9, pid: 900, facts });
  write(writer);
  writer.event({ kind: "exit", source, time: 30.002e9, pid: 900, status: 0 });
  writer.end();
  return path;
}

function replayed(
  path: string,
  ...baselines: readonly RoleBaseline[]
): { lines: string; result: ReturnType<typeof replay> } {
  using input = new CaptureInput(path);
  const opened = openCapture(input.read);
  if (!opened.ok) throw new Error(opened.problem.kind);
  const records: EventRecord[] = [];
  const result = replay(opened.capture, (record) => records.push(record), {
    policy: policy(),
    baselines,
  });
  return { lines: records.map((record) => `${JSON.stringify(record)}\n`).join(""), result };
}

function ofRole(...entries: readonly BaselineEntry[]): RoleBaseline {
  const file = { role: "trial", hosts: ["a"], created: NOON, learnedFrom: NOON, learnedTo: NOON };
  const bytes = Buffer.from(formatBaseline({ header: file, entries }));
  return { role: "trial", file: "/p/trial.baseline", digest: "sha256:0", trees: entries.length, bytes };
}

describe("replay", () => {
  test("gives the verdict that the policy would have given, on a host where nothing is killed", () => {
    const { lines, result } = replayed(attack());
    expect(result.tally.verdicts).toEqual({ allow: 1, alert: 0, deny: 0, stop: 0, kill: 1 });
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
    const rulesOf = (...baselines: readonly RoleBaseline[]) =>
      replayed(path, ...baselines)
        .lines.split("\n")
        .filter((line) => line !== "")
        .map((line): unknown => JSON.parse(line)["policy.matched_rules"]);
    expect(rulesOf()).toEqual([["shell-under-nginx"]]);
    const known = entry("/nginx", { path: "/usr/sbin/nginx", complete: false });
    expect(rulesOf(ofRole(known))).toEqual([["shell-under-nginx", "unknown"]]);
    expect(rulesOf(ofRole())).toEqual([["unknown"], ["shell-under-nginx", "unknown"]]);
  });

  test("stamps a verdict with the time it had on the host, also after its clock was set", () => {
    const [record] = replayed(attack()).lines.split("\n");
    const wall = new Date((header.wallOffset + 3600e9 + 30.001e9) / 1e6).toISOString();
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

describe("a connection", () => {
  /** The verdicts on connections of nginx to two peers, each with what was known of it if anything was. */
  function verdictsOn(...peers: readonly (Pick<PeerItem, "name" | "known"> | undefined)[]) {
    const path = attack((writer) => {
      for (const [i, peer] of peers.entries()) {
        const event = { pid: 700, time: 31e9 + i };
        if (peer !== undefined) writer.add("peer", { kind: "peer", ...event, ...peer });
        writer.event({
          kind: "connect",
          source: "ebpf",
          ...event,
          startTicks: 900,
          uid: 33,
          transport: "tcp",
          family: "ipv4",
          socket: i,
          denied: false,
          peerAddress: "192.0.2.7",
          peerPort: 443,
          localAddress: undefined,
          localPort: undefined,
        });
      }
    });
    return replayed(path)
      .lines.trim()
      .split("\n")
      .map((line): EventRecord => JSON.parse(line))
      .filter((record) => record["event.kind"] === "connect")
      .map((record) => record["policy.matched_rules"]);
  }

  test("is judged by what the warden knew of its peer then, and no later one is", () => {
    expect(
      verdictsOn({ name: "elsewhere.example", known: true }, { name: null, known: false }, undefined),
    ).toEqual([["elsewhere"], ["new-peer"]]);
  });
});
