// Which processes are denied nothing on the network: treewarden's own, and those by which it delivers mail.
import { expect, test } from "bun:test";
import { Process } from "../../src/forest/process.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import { sparedProcesses } from "../../src/warden/spared-processes.ts";

const executable = "/usr/bin/treewarden";
const start = { startTicks: 1, startExact: true, time: 0 };

/** The processes 1, 2, 3... of which each was forked by the one before; `own` of them are treewarden's. */
function sparedOf(programs: readonly string[], own: readonly number[]): readonly boolean[] {
  const processes = programs.map((_, i) => {
    const { lineage } = testSubject({ lineage: programs.slice(0, i + 1) });
    return new Process(i + 1, start, lineage, null, i, false);
  });
  const isSpared = sparedProcesses({
    forest: { get: (pid) => processes[pid - 1] },
    executable,
    mailPrograms: ["/usr/sbin/exim4"],
    isOwnProcess: ({ pid }) => own.includes(pid),
  });
  return processes.map(isSpared);
}

test("a process of this run is spared, another one of the same file is not", () => {
  expect(sparedOf([executable, executable], [1])).toEqual([true, false]);
});

test("what the reporter delivers mail with is spared, and what that starts; the same program of others is not", () => {
  const mail = "/usr/sbin/exim4";
  expect(sparedOf([executable, mail, mail, "/usr/bin/curl"], [1])).toEqual([true, true, true, false]);
  expect(sparedOf(["/bin/sh", mail], [])).toEqual([false, false]);
});
