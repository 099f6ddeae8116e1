// Whose sessions are spared: those of the rescue user, and of root on the console; and who cannot become one of them.
import { expect, test } from "bun:test";
import { identify } from "../../src/fingerprint/identify.ts";
import { Forest } from "../../src/forest/forest.ts";
import type { Process } from "../../src/forest/process.ts";
import { type ProcessFacts, unknownFacts } from "../../src/sensor/event.ts";
import { SparedSessions } from "../../src/warden/spared-sessions.ts";

const RESCUE = 1500;
const WWW = 33;

/** A host on which programs are started: each by the process before, or by one that is named. */
function host() {
  const forest = new Forest({
    identify,
    identifyRunning: identify,
    kernelProgram: identify(unknownFacts),
    missedExit: () => undefined,
  });
  let last = 1;
  return (facts: Partial<ProcessFacts>, parentPid = last): Process => {
    const pid = last + 10;
    last = pid;
    const [source, time] = ["ebpf" as const, pid * 1e9];
    forest.fork({ kind: "fork", source, time, pid, parentPid, startTicks: pid * 100, startExact: true });
    const all = { ...unknownFacts, executable: "/usr/bin/tool", startTicks: pid * 100, ...facts };
    const process = forest.exec({ kind: "exec", source, time, pid, facts: all });
    if (process === undefined) throw new Error("not taken");
    return process;
  };
}

const service = { uid: 0, loginUid: null, sessionId: undefined, tty: null };

test("a session of the rescue user is spared, with what it starts as root or as somebody else", () => {
  const start = host();
  const sessions = new SparedSessions(RESCUE);
  const session = { loginUid: RESCUE, sessionId: 7, tty: "pts/0" };
  expect(sessions.includes(start({ ...service, executable: "/usr/sbin/sshd" }))).toBe(false);
  expect(sessions.includes(start({ ...session, uid: RESCUE }))).toBe(true);
  expect(sessions.includes(start({ ...session, uid: 0 }))).toBe(true);
  expect(sessions.includes(start({ ...session, uid: WWW, tty: null }))).toBe(true);
});

test("another user's session is not, nor one of the rescue user where none is configured", () => {
  const start = host();
  start(service);
  const admin = start({ uid: 1000, loginUid: 1000, sessionId: 8, tty: "pts/1" });
  const rescue = start({ uid: RESCUE, loginUid: RESCUE, sessionId: 9, tty: "pts/2" }, 11);
  expect(new SparedSessions(RESCUE).includes(admin)).toBe(false);
  expect(new SparedSessions(undefined).includes(rescue)).toBe(false);
});

test("a service that sets its own login user is not, because root has not let it become that user", () => {
  const start = host();
  const sessions = new SparedSessions(RESCUE);
  start(service);
  const www = start({ ...service, uid: WWW });
  for (const loginUid of [RESCUE, 0]) {
    const forged = { uid: WWW, loginUid, sessionId: 10, tty: "tty1" };
    expect(sessions.includes(start(forged, www.pid))).toBe(false);
    // By a set-user-id program.
    expect(sessions.includes(start({ ...forged, uid: 0 }, www.pid))).toBe(false);
  }
});

test.each(["tty1", "ttyS0", "ttyAMA0", "hvc0"])(
  "root on the console %s is spared, with a terminal of its own there",
  (tty) => {
    const start = host();
    const sessions = new SparedSessions(undefined);
    start({ ...service, tty });
    const session = { uid: 0, loginUid: 0, sessionId: 11 };
    expect(sessions.includes(start({ ...session, tty }))).toBe(true);
    expect(sessions.includes(start({ ...session, tty: "pts/3" }))).toBe(true);
    expect(sessions.includes(start({ ...session, uid: WWW, tty: null }))).toBe(true);
  },
);

test("root elsewhere is not, and neither is the console before a login", () => {
  const start = host();
  const sessions = new SparedSessions(undefined);
  expect(sessions.includes(start({ ...service, tty: "tty1" }))).toBe(false);
  for (const tty of ["pts/0", "ptsx", "tty", "ttyp0", "ttyACM0", null])
    expect(sessions.includes(start({ uid: 0, loginUid: 0, sessionId: 12, tty }))).toBe(false);
});

test("the number of a spared session proves nothing under another login user", () => {
  const start = host();
  const sessions = new SparedSessions(RESCUE);
  start(service);
  expect(sessions.includes(start({ uid: RESCUE, loginUid: RESCUE, sessionId: 1 }, 11))).toBe(true);
  expect(sessions.includes(start({ uid: 1000, loginUid: 1000, sessionId: 1 }, 11))).toBe(false);
  expect(sessions.includes(start({ uid: 0, loginUid: 0, sessionId: 1 }, 11))).toBe(false);
});
