import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type FileHandle, open } from "node:fs/promises";
import { type StoppedTree, StoppedTrees } from "../../src/enforcement/stopped-trees.ts";
import type { EventRecord } from "../../src/report/event-record.ts";
import { Evidence, type EvidenceInputs } from "../../src/warden/evidence.ts";
import { smallHost } from "../forest/world.ts";

/** No process of a host has such a pid, so that nothing of one is read. */
const PID = 4_194_300;

interface SceneOptions {
  readonly bytesPerDay?: number;
  readonly answers?: boolean;
  readonly pid?: number;
  readonly copies?: EvidenceInputs["copies"];
}

function scene({ bytesPerDay = 1_000_000, answers = true, pid = PID, copies }: SceneOptions = {}) {
  const world = smallHost();
  world.spawn(100, pid, "miner");
  const process = world.forest.get(pid);
  if (process === undefined) throw new Error("no process");
  const stopped = new StoppedTrees();
  const killed: StoppedTree[] = [];
  const records: EventRecord[] = [];
  const asked: number[] = [];
  const filesAsked: (readonly string[])[] = [];
  const host = { now: 0, startTicks: process.startTicks };
  const refused = { count: 0 };
  const evidence = new Evidence({
    timeLimitNs: 2e9,
    bytesPerDay,
    mayFollowLinks: () => true,
    killer: () => ({
      killStopped: (tree) => {
        killed.push(tree);
        stopped.end(tree);
        return { sent: 1, refused: 0 };
      },
    }),
    stopped,
    ask: (id, files) => {
      filesAsked.push([...files.keys()]);
      return answers && asked.push(id) > 0;
    },
    copies,
    startTicks: () => host.startTicks,
    bootTimeMs: 0,
    recordChange: (event, details) => records.push({ "event.name": event, ...details }),
    refused: {
      add: (count) => {
        refused.count += count;
      },
    },
    now: () => host.now,
    idsAfter: 7_000,
  });
  const take = (payers: readonly number[] = [1000]): void => {
    const tree = stopped.begin({ root: process, rule: "web/shell", since: 0, payers, dies: true });
    if (tree === undefined) throw new Error("no room");
    stopped.add(tree, process);
    evidence.take(process, tree);
  };
  return { evidence, host, killed, records, asked, filesAsked, refused, take };
}

describe("a process of which evidence is taken", () => {
  test("is killed at the examiner's answer, which is recorded", () => {
    const { evidence, killed, records, asked, take } = scene();
    take();
    expect([killed.length, evidence.dueIn(0.5e9)]).toEqual([0, 1.5e9]);
    evidence.answered(asked[0] ?? 0, { digest: "sha256:ab", sockets: ["tcp 192.0.2.1:80"] });
    expect(killed.length).toBe(1);
    expect(records).toMatchObject([
      {
        "event.name": "process.evidence",
        "process.pid": PID,
        "stop.rule": "web/shell",
        "evidence.complete": true,
        "evidence.executable.digest": "sha256:ab",
        "evidence.sockets": ["tcp 192.0.2.1:80"],
      },
    ]);
  });

  test("is killed when the time is over, and an answer that comes later changes nothing", () => {
    const { evidence, killed, records, asked, take } = scene();
    take();
    evidence.expire(1.9e9);
    expect(killed.length).toBe(0);
    evidence.expire(2e9);
    evidence.answered(asked[0] ?? 0, { sockets: [] });
    expect([killed.length, records.length, records[0]?.["evidence.complete"]]).toEqual([1, 1, false]);
  });

  test("is killed at once if the examiner cannot be asked, or another process has its pid", () => {
    const unasked = scene({ answers: false });
    unasked.take();
    expect(unasked.killed.length).toBe(1);
    const reused = scene();
    reused.host.startTicks += 1;
    reused.take();
    expect([reused.killed.length, reused.asked.length]).toEqual([1, 0]);
  });

  test("is killed when the warden ends", () => {
    const { evidence, killed, take } = scene();
    take();
    evidence.endAll();
    expect([killed.length, evidence.dueIn(0)]).toEqual([1, undefined]);
  });
});

test("a user can use up half of a day's evidence, and the next day there is more", () => {
  const { evidence, host, asked, refused, take } = scene({ bytesPerDay: 400 });
  take();
  evidence.answered(asked[0] ?? 0, { sockets: ["s".repeat(100)] });
  expect([evidence.mayTake([1000]), evidence.mayTake([1001]), evidence.mayTake([])]).toEqual([
    false,
    true,
    true,
  ]);
  expect(refused.count).toBe(1);
  host.now = 86_400e9;
  expect(evidence.mayTake([1000])).toBe(true);
});

describe("a copy of the executable", () => {
  /** Of this process, whose executable can be opened. */
  function copying() {
    const done: string[] = [];
    const copies: EvidenceInputs["copies"] = {
      bytesOfFile: 1_000,
      take: () => ({ path: "/new", file: emptyFile }),
      keep: (_, digest) => {
        done.push(`kept ${digest}`);
        return `/evidence/${digest}`;
      },
      discard: () => done.push("discarded"),
      end: () => undefined,
    };
    return { done, ...scene({ pid: process.pid, copies }) };
  }
  let emptyFile: FileHandle;
  beforeAll(async () => {
    emptyFile = await open("/dev/null", "w");
  });
  afterAll(() => emptyFile.close());

  test("is asked for with the file that it goes to, and named in the record", () => {
    const { evidence, records, asked, filesAsked, done, take } = copying();
    take();
    expect(filesAsked[0]).toContain("copy");
    evidence.answered(asked[0] ?? 0, { digest: "sha256:ab", size: 3, isCopied: true, sockets: [] });
    expect(done).toEqual(["kept sha256:ab"]);
    expect(records[0]?.["evidence.executable.copy"]).toBe("/evidence/sha256:ab");
  });

  test("that is not complete is discarded", () => {
    const late = copying();
    late.take();
    late.evidence.expire(2e9);
    const failed = copying();
    failed.take();
    failed.evidence.answered(failed.asked[0] ?? 0, { digest: "sha256:ab", sockets: [] });
    expect([late.done, failed.done]).toEqual([["discarded"], ["discarded"]]);
    expect(failed.records[0]).not.toHaveProperty("evidence.executable.copy");
  });
});
