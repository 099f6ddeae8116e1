import { expect, test } from "bun:test";
import { identify } from "../../src/fingerprint/identify.ts";
import { Forest } from "../../src/forest/forest.ts";
import type { Process } from "../../src/forest/process.ts";
import { unknownFacts } from "../../src/sensor/event.ts";
import { JudgedKinds, judgedKindOf } from "../../src/warden/judged-kinds.ts";

const closed = { own: 1, child: 2, rule: "role/rule" };

function someProcess(): Process {
  const forest = new Forest({
    identify,
    identifyRunning: identify,
    kernelProgram: identify(unknownFacts),
    missedExit: () => undefined,
  });
  const event = {
    source: "ebpf",
    time: 1e9,
    pid: 7,
    parentPid: 1,
    startTicks: 100,
    startExact: true,
  } as const;
  forest.fork({ kind: "fork", ...event });
  const process = forest.get(7);
  if (process === undefined) throw new Error("it was forked");
  return process;
}

test("a process that moves to ever new control groups has no more of them remembered", () => {
  const kinds = new JudgedKinds();
  const process = someProcess();
  const { facts } = process;
  const kindIn = (group: number) => {
    process.facts = { ...facts, cgroup: `/user@1000.service/${group}` };
    return judgedKindOf(process);
  };
  const count = 10_000;
  for (let group = 0; group < count; group += 1) {
    const kind = kindIn(group);
    expect(kinds.get(kind)).toBeUndefined();
    kinds.set(kind, closed);
    expect(kinds.get(kind)).toBe(closed);
  }
  let remembered = 0;
  for (let group = 0; group < count; group += 1) if (kinds.get(kindIn(group)) !== undefined) remembered += 1;
  expect(remembered).toBeLessThanOrEqual(64);
});
