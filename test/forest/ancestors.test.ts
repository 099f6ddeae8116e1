import { expect, test } from "bun:test";
import { ancestorsOf, isSameState } from "../../src/forest/ancestors.ts";
import type { Process } from "../../src/forest/process.ts";
import { smallHost, type World } from "./world.ts";

/** Root first: what each ran, and its pid; `*` where it runs that no more, `-` where it has ended. */
function ancestors(world: World, pid: number, limit = 16, remembered: readonly Process[] = []): string[] {
  const process = world.forest.get(pid);
  if (process === undefined) return [];
  const live = world.forest.liveAncestors(process);
  const ended = (pid: number) => remembered.find((each) => each.pid === pid);
  return ancestorsOf(process, { live, ended }, limit).map(
    ({ lineage, pid: its, process: known, hasEnded }) => {
      const isCurrent = known !== undefined && isSameState(known.lineage, lineage);
      const mark = hasEnded ? "-" : isCurrent ? "" : "*";
      return `${lineage.program.key} ${its ?? "?"}${mark}`;
    },
  );
}

test("each ancestor with its pid, root first", () => {
  const world = smallHost();
  world.spawn(100, 200, "bash");
  world.spawn(200, 300, "curl");
  expect(ancestors(world, 300)).toEqual(["systemd 1", "sshd 100", "bash 200"]);
});

test("a parent that has ended is known by its pid, and by what it ran", () => {
  const world = smallHost();
  world.spawn(100, 200, "bash");
  world.spawn(200, 300, "sh");
  world.spawn(300, 400, "curl");
  world.exit(300);
  expect(ancestors(world, 400)).toEqual(["systemd 1", "sshd 100", "bash 200", "sh 300-"]);
});

test("of two that have ended one after the other, the pid of the upper one is not known", () => {
  const world = smallHost();
  world.spawn(100, 200, "bash");
  world.spawn(200, 300, "sh");
  world.spawn(300, 400, "curl");
  world.exit(300);
  world.exit(200);
  expect(ancestors(world, 400)).toEqual(["systemd 1", "sshd 100", "bash ?-", "sh 300-"]);
});

test("... unless the lower one is remembered", () => {
  const world = smallHost();
  world.spawn(100, 200, "bash");
  world.spawn(200, 300, "sh");
  world.spawn(300, 400, "curl");
  const shell = world.forest.get(300);
  world.exit(300);
  world.exit(200);
  const remembered = shell === undefined ? [] : [shell];
  expect(ancestors(world, 400, 16, remembered)).toEqual(["systemd 1", "sshd 100", "bash 200-", "sh 300-"]);
});

test("a process further up that runs the same program is not taken for a parent that has ended", () => {
  const world = smallHost();
  world.spawn(100, 200, "sh");
  world.spawn(200, 300, "make");
  world.spawn(300, 400, "sh");
  world.spawn(400, 500, "curl");
  const remembered = [world.forest.get(400)].flatMap((each) => each ?? []);
  world.exit(400);
  const all = ["systemd 1", "sshd 100", "sh 200", "make 300", "sh 400-"];
  expect(ancestors(world, 500)).toEqual(all);
  expect(ancestors(world, 500, 16, remembered)).toEqual(all);
});

test("a shell in a shell, both ended and remembered, are two", () => {
  const world = smallHost();
  world.spawn(100, 200, "sh");
  world.spawn(200, 300, "sh");
  world.spawn(300, 400, "curl");
  const remembered = [200, 300].flatMap((pid) => world.forest.get(pid) ?? []);
  world.exit(300);
  const inner = ["systemd 1", "sshd 100", "sh 200", "sh 300-"];
  expect(ancestors(world, 400, 16, remembered)).toEqual(inner);
  world.exit(200);
  expect(ancestors(world, 400, 16, remembered)).toEqual(["systemd 1", "sshd 100", "sh 200-", "sh 300-"]);
});

test("a pid that was given to another process since is not taken for the ancestor's", () => {
  const world = smallHost();
  world.spawn(100, 200, "bash");
  world.spawn(200, 300, "curl");
  world.exit(200);
  world.spawn(1, 200, "cron");
  expect(ancestors(world, 300)).toEqual(["systemd 1", "sshd 100", "bash 200-"]);
});

test("an ancestor that runs another program by now is shown as what it was", () => {
  const world = smallHost();
  world.spawn(100, 200, "bash");
  world.spawn(200, 300, "curl");
  world.exec(200, "python");
  expect(ancestors(world, 300)).toEqual(["systemd 1", "sshd 100", "bash 200*"]);
});

test("processes that run the same program as their parent are listed each", () => {
  const world = smallHost();
  world.fork(100, 101);
  world.fork(101, 102);
  world.spawn(102, 200, "bash");
  expect(ancestors(world, 200)).toEqual(["systemd 1", "sshd 100", "sshd 101", "sshd 102"]);
  world.exec(101, "scp");
  expect(ancestors(world, 200)).toEqual(["systemd 1", "sshd 100", "sshd 101*", "sshd 102"]);
});

test("a copy of a process that runs another program below is listed with the process it copies", () => {
  const world = smallHost();
  world.spawn(100, 200, "bash");
  world.fork(200, 201);
  world.spawn(201, 300, "flock");
  world.spawn(300, 400, "curl");
  expect(ancestors(world, 400)).toEqual(["systemd 1", "sshd 100", "bash 200", "bash 201", "flock 300"]);
});

test("of many the nearest are kept, and nothing is made up for a process without parents", () => {
  const world = smallHost();
  world.spawn(100, 200, "bash");
  world.spawn(200, 300, "curl");
  expect(ancestors(world, 300, 2)).toEqual(["sshd 100", "bash 200"]);
  expect(ancestors(world, 1)).toEqual([]);
});

test("a chain of ten thousand processes costs no more than one of sixty-four", () => {
  const world = smallHost();
  for (let pid = 1_000; pid < 11_000; pid += 1) world.fork(pid === 1_000 ? 100 : pid - 1, pid);
  world.spawn(10_999, 20_000, "curl");
  const process = world.forest.get(20_000);
  if (process === undefined) throw new Error("no process");
  expect(world.forest.liveAncestors(process)).toHaveLength(64);
  expect(ancestors(world, 20_000).slice(-2)).toEqual(["sshd 10998", "sshd 10999"]);
});
