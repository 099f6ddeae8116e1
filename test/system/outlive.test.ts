// The programs in the kernel outlive the warden: whatever starts while none runs is read by the next one, in order.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { linkSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { programName } from "../../src/linux/bpf/cgroup-link.ts";
import { compile, endOf, pidOf, processesOf, whole } from "./live.ts";
import { type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** Chains of two execs, and so many a second: 500 execs a second. */
const CHAINS = 1_500;
const PAUSE_US = 4_000;
/** ms, on a machine that is busy with other things. */
const COMPILES_WITHIN = 60_000;
let folder = "";
let policy = "";

beforeAll(() => {
  folder = newFolder();
  const orphans = compile(folder, "orphans");
  const leaves = Array.from({ length: 40 }, (_, i) => [`tw-leaf-${i}`, `tw-late-${i}`]).flat();
  for (const name of ["tw-middle", ...leaves]) {
    linkSync(orphans, join(folder, name));
  }
  policy = join(folder, "role.json");
  // Naming arguments, so that each is reported by itself, up to 100 a minute of each of the 40 programs.
  const when = {
    and: [
      { glob: [{ var: "process.executable.path" }, join(folder, "tw-{leaf,late}-*")] },
      { "!=": [{ var: "process.command_line" }, ""] },
    ],
  };
  const rules = [{ id: "leaf", when, action: "alert" }];
  writeFileSync(policy, JSON.stringify({ role: "role", rules, default: "allow" }));
}, COMPILES_WITHIN);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const isLeaf = (record: JsonRecord): boolean =>
  record["event.name"] === "policy.verdict" && record["security_rule.name"] === "leaf";
/** Such as `leaf 17`. */
const nameOf = (record: JsonRecord): string => {
  const [program = "", number] = [record["process.command_args"]].flat().map(String);
  return `${/tw-(leaf|late)-/.exec(program)?.[1]} ${number}`;
};

describe.skipIf(reason !== undefined)("a warden that is killed under 500 execs a second", () => {
  test("misses no exec, and knows the lineage of each", async () => {
    await using running = await Running.start(["--policy", policy, "--source", "ebpf"]);
    const load = Bun.spawn([join(folder, "orphans"), folder, String(CHAINS), String(PAUSE_US)]);
    let kills = 0;
    while (load.exitCode === null && kills < 3) {
      await Bun.sleep(1_500);
      process.kill(pidOf(running, "warden"), "SIGKILL");
      kills += 1;
    }
    expect(await load.exited).toBe(0);
    const leaves = () => running.records.filter(isLeaf);
    const isLast = (record: JsonRecord): boolean => nameOf(record) === `late ${CHAINS - 7}`;
    await until("the last exec is reported", () => leaves().some(isLast), 20_000).catch(() => undefined);
    await Bun.sleep(500);
    const seen = new Map<string, JsonRecord[]>();
    for (const record of leaves()) seen.set(nameOf(record), [...(seen.get(nameOf(record)) ?? []), record]);
    const expected = Array.from({ length: CHAINS }, (_, i) => [
      `leaf ${i}`,
      ...(i % 10 === 3 ? [`late ${i}`] : []),
    ]);
    const missed = expected.flat().filter((name) => !seen.has(name));
    const twice = [...seen.values()].filter((records) => records.length > 1);
    const trees = new Map<string, number>();
    for (const [record] of seen.values()) {
      const tree = String(record?.["tree.path"]).replace(/-\d+$/, "");
      trees.set(
        `${tree} ${record?.["tree.complete"]}`,
        (trees.get(`${tree} ${record?.["tree.complete"]}`) ?? 0) + 1,
      );
    }
    const metrics = await running.metrics();
    const unattributed = metrics.sum("treewarden_execs_unattributed_total");
    const lost = metrics.sum("treewarden_events_lost_total");
    console.log(
      `${kills} kills of the warden under ${CHAINS * 2} execs: ${missed.length} missed, ${twice.length} reported twice, ` +
        `${unattributed} unattributed, ${lost} events lost; trees: ${[...trees].map(([tree, n]) => `${tree} ${n}`).join(", ")}`,
    );
    expect(missed).toEqual([]);
    expect([unattributed, lost]).toEqual([0, 0]);
    const above = [...trees.keys()].map((tree) => tree.slice(0, tree.lastIndexOf("/")));
    expect([trees.size, new Set(above).size]).toEqual([2, 1]);
  }, 60_000);
});

describe.skipIf(reason !== undefined)("what is kept of a warden", () => {
  test("is kept by the standby too, and ends with the last process of the run", async () => {
    await using running = await Running.start(["--policy", policy, "--source", "ebpf"]);
    await using _ = endOf(running);
    await until("whole", () => whole(running) !== undefined);
    const supervisor = pidOf(running, "supervisor");
    process.kill(supervisor, "SIGKILL");
    await until(
      "the standby has taken over",
      () => (whole(running)?.get("supervisor") ?? supervisor) !== supervisor,
    );
    const warden = pidOf(running, "warden");
    const programs = programsOf(warden);
    expect(programs.length).toBeGreaterThan(3);
    process.kill(warden, "SIGKILL");
    // No warden has been started yet: the shortest backoff is longer.
    Bun.spawnSync([join(folder, "tw-leaf-0"), "without a warden"]);
    await running.seen((record) => isLeaf(record) && nameOf(record) === "leaf without a warden");
    expect((await running.metrics()).sum("treewarden_events_lost_total")).toBe(0);
    expect(programsOf(pidOf(running, "warden"))).toEqual(programs);

    for (const { pid } of processesOf(running)) process.kill(pid, "SIGSTOP");
    for (const { pid } of processesOf(running)) process.kill(pid, "SIGKILL");
    await until(
      "nothing is left in the kernel",
      () => programs.every((id) => programName(id) === undefined),
      5_000,
    );
  }, 30_000);
});

/** The ids of the eBPF programs of which a process has descriptors, in order. */
function programsOf(pid: number): readonly number[] {
  const ids = readdirSync(`/proc/${pid}/fdinfo`).flatMap((fd) => {
    const [, id] = /^prog_id:\s+(\d+)/m.exec(readIfThere(`/proc/${pid}/fdinfo/${fd}`)) ?? [];
    return id === undefined ? [] : [Number(id)];
  });
  return [...new Set(ids)].toSorted((a, b) => a - b);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
