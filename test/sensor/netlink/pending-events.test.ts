import { expect, test } from "bun:test";
import fc from "fast-check";
import type { ProcessEvent, ProcessFacts } from "../../../src/sensor/event.ts";
import { PendingEvents } from "../../../src/sensor/netlink/pending-events.ts";
import { factsFromEvents, nothingKnown } from "../../../src/sensor/procfs/facts-reader.ts";

const known = { ...nothingKnown, uid: 7 };

/** Pending events over a pretended /proc, in which `programs` says what each process runs now. */
function pendingEvents() {
  const programs = new Map<number, string>();
  const asked: number[] = [];
  const clock = { now: 0 };
  const pending = new PendingEvents({
    read(pid): ProcessFacts {
      asked.push(pid);
      return { ...factsFromEvents(known), executable: programs.get(pid) };
    },
    now: () => clock.now,
  });
  return {
    programs,
    asked,
    clock,
    pending,
    fork: (pid: number, time: number) =>
      pending.add({
        kind: "fork",
        source: "netlink",
        time,
        pid,
        parentPid: 1,
        startTicks: 1,
        startExact: false,
      }),
    exec: (pid: number, time: number) => pending.addExec(pid, time, known),
    exit: (pid: number, time: number) =>
      pending.add({ kind: "exit", source: "netlink", time, pid, status: 0 }),
    emitted(count = pending.length) {
      const events: ProcessEvent[] = [];
      for (let i = 0; i < count; i += 1) pending.emit((event) => events.push(event));
      return events;
    },
    executables() {
      return this.emitted().flatMap((event) => (event.kind === "exec" ? [event.facts.executable] : []));
    },
  };
}

test("an exec has the facts that were read when its event came, though the program has ended since", () => {
  const rig = pendingEvents();
  rig.programs.set(10, "/bin/true");
  rig.fork(10, 1);
  rig.exec(10, 2);
  rig.pending.read();
  rig.programs.delete(10);
  rig.exit(10, 3);
  expect(rig.executables()).toEqual(["/bin/true"]);
  expect(rig.asked).toEqual([10]);
});

test("facts are dropped if another exec of the process came before the read was over", () => {
  const rig = pendingEvents();
  rig.programs.set(10, "/second");
  rig.exec(10, 1);
  rig.clock.now = 3;
  rig.pending.read();
  rig.exec(10, 2);
  rig.pending.read();
  expect(rig.executables()).toEqual([undefined, "/second"]);
});

test("facts are kept if the read was over before the next exec", () => {
  const rig = pendingEvents();
  rig.programs.set(10, "/first");
  rig.exec(10, 1);
  rig.clock.now = 2;
  rig.pending.read();
  rig.programs.set(10, "/second");
  rig.exec(10, 3);
  rig.pending.read();
  expect(rig.executables()).toEqual(["/first", "/second"]);
});

test("nothing is read of a process that is known to have ended, and what events told remains", () => {
  const rig = pendingEvents();
  rig.exec(10, 1);
  rig.exit(10, 2);
  rig.pending.read();
  expect(rig.asked).toEqual([]);
  const [exec] = rig.emitted();
  expect(exec?.kind === "exec" && exec.facts).toEqual(factsFromEvents(known));
});

test("the latest execs are read first", () => {
  const rig = pendingEvents();
  for (const pid of [10, 11, 12]) rig.exec(pid, pid);
  rig.pending.read();
  expect(rig.asked).toEqual([12, 11, 10]);
});

test("whatever the interleaving, every event is emitted in order and no exec has another program's facts", () => {
  // Each process: a fork, some execs, an exit. `pause`: events between two reads of /proc.
  const lives = fc.array(fc.nat(3), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(
      lives,
      fc.infiniteStream(fc.nat(50)),
      fc.integer({ min: 1, max: 5 }),
      (execs, choice, pause) => {
        const left = execs.map((count, i) => ({ pid: i + 10, count, step: 0 }));
        const rig = pendingEvents();
        const expected: string[] = [];
        const emitted: ProcessEvent[] = [];
        while (left.length > 0) {
          const index = choice.next().value % left.length;
          const life = left[index];
          if (life === undefined) break;
          rig.clock.now += 1;
          const { pid, step, count } = life;
          const time = rig.clock.now;
          if (step === 0) rig.fork(pid, time);
          else if (step <= count) {
            rig.programs.set(pid, `${pid}/${step}`);
            rig.exec(pid, time);
          } else {
            rig.exit(pid, time);
            rig.programs.delete(pid);
            left.splice(index, 1);
          }
          expected.push(
            step === 0 ? `${pid} fork` : step <= count ? `${pid} exec ${pid}/${step}` : `${pid} exit`,
          );
          life.step += 1;
          if (time % pause === 0) {
            rig.pending.read();
            emitted.push(...rig.emitted(choice.next().value % (rig.pending.length + 1)));
          }
        }
        emitted.push(...rig.emitted());
        const seen = emitted.map((event, i) => {
          if (!("pid" in event)) return "";
          if (event.kind !== "exec") return `${event.pid} ${event.kind}`;
          return event.facts.executable === undefined
            ? expected[i]
            : `${event.pid} exec ${event.facts.executable}`;
        });
        expect(seen).toEqual(expected);
      },
    ),
  );
});
