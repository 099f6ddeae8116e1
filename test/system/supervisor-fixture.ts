// A stand-in for treewarden: the real supervisor over a warden that sends numbers, a reporter that notes them and an
// examiner that sleeps.
//   run DIRECTORY BEHAVIOUR, and what the supervisor starts: supervisor, standby, warden, reporter, examiner
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { EPOLLIN, Poll } from "../../src/linux/epoll.ts";
import { becomeUser, forbidInspection, type User } from "../../src/linux/process.ts";
import { receivePacket, sendPacket } from "../../src/linux/socketpair.ts";
import { Timer } from "../../src/linux/timerfd.ts";
import { continueSupervising } from "../../src/supervisor/continue-supervising.ts";
import {
  AS_SUCCESSOR,
  DEAD_MAN_EXPIRATIONS,
  inherited,
  type NewLink,
  readWardenControl,
  sendWardenMessage,
} from "../../src/supervisor/inherited.ts";
import { supervise } from "../../src/supervisor/supervise.ts";
import { readPlan } from "../../src/supervisor/supervisor-plan.ts";

const deadManMs = 400;
const intervalNs = (deadManMs * 1e6) / DEAD_MAN_EXPIRATIONS;

/** Calls `tick` about every 10 ms, until told to end. */
function work(
  tick: () => void,
  told: (control: string) => void,
  connect: (link: NewLink) => void = () => undefined,
): void {
  using poll = new Poll();
  poll.add(inherited.control, 1, EPOLLIN);
  for (;;) {
    const ready = poll.wait(10);
    tick();
    if (ready === 0) continue;
    for (const control of readWardenControl()) {
      if (typeof control === "object") {
        if ("link" in control) connect(control);
        continue;
      }
      told(control);
      if (control === "stop" || control === "hangup") return;
    }
  }
}

/** Computes until this process has used `ms` more of CPU time, however long that takes. */
function useCpu(ms: number): void {
  const { user, system } = process.cpuUsage();
  for (let used = 0; used < ms * 1000; ) {
    const now = process.cpuUsage();
    used = now.user + now.system - user - system;
  }
}

function warden(
  directory: string,
  behaviour: string,
  ebpfRefusal: string | undefined,
  as: string | undefined,
): number {
  if (behaviour === "refuse") return 2;
  if (as === AS_SUCCESSOR) {
    if (behaviour === "successor refuses") return 3;
    sendWardenMessage("ready");
    if (!isToProceed()) return 0;
  }
  if (behaviour.startsWith("crash")) {
    appendFileSync(`${directory}/starts`, `${ebpfRefusal ?? "ebpf"}\n`);
    if (ebpfRefusal === undefined) process.kill(process.pid, "SIGSEGV");
  }
  const deadMan = new Timer(inherited.deadMan);
  let report: number = inherited.report;
  const packet = new Uint32Array(2);
  const bytes = new Uint8Array(packet.buffer);
  packet[0] = process.pid;
  const hangs: readonly string[] = ["hang", "spin"];
  let hang = hangs.includes(behaviour) && !existsSync(`${directory}/hung`);
  const tick = () => {
    deadMan.armEvery(intervalNs);
    packet[1] = (packet[1] ?? 0) + 1;
    sendPacket(report, bytes);
    if (hang) {
      appendFileSync(`${directory}/hung`, "");
      hang = false;
      if (behaviour === "hang") Bun.sleepSync(60_000);
      else for (const end = performance.now() + 60_000; performance.now() < end; );
    }
    if (behaviour === "busy") useCpu(60);
    deadMan.disarm();
  };
  const told = (control: string) => {
    appendFileSync(`${directory}/warden.orders`, `${control}\n`);
    if (behaviour.startsWith("successor") && control === "reload") sendWardenMessage("successor");
    if (behaviour === "deaf" && control === "stop") Bun.sleepSync(60_000);
  };
  work(tick, told, ({ link, fd, wasShutDown }) => {
    if (wasShutDown) appendFileSync(`${directory}/shutdowns`, `${link}\n`);
    if (link === "reporter") report = fd;
  });
  // What a warden sends last must still arrive.
  packet[1] = 0xffff_ffff;
  sendPacket(report, bytes);
  return 0;
}

/** Waits for the order to proceed; false if it is to end instead. */
function isToProceed(): boolean {
  using poll = new Poll();
  poll.add(inherited.control, 1, EPOLLIN);
  for (;;) {
    poll.wait(-1);
    const orders = readWardenControl();
    if (orders.includes("proceed")) return true;
    if (orders.includes("stop") || orders.includes("hangup")) return false;
  }
}

interface ReporterFixture {
  readonly directory: string;
  readonly user: User | null;
  readonly behaviour: string;
}

function reporter({ directory, user, behaviour }: ReporterFixture): number {
  forbidInspection();
  try {
    if (user !== null) becomeUser(user);
  } catch {
    return 3;
  }
  const deadMan = new Timer(inherited.deadMan);
  const bytes = new Uint8Array(new ArrayBuffer(8));
  const packet = new Uint32Array(bytes.buffer);
  const drain = () => {
    let noted = "";
    while (receivePacket(inherited.report, bytes) === 8) noted += `${packet[0]} ${packet[1]}\n`;
    appendFileSync(`${directory}/report/noted`, noted);
    deadMan.armEvery(intervalNs);
    if (behaviour !== "reporter spins" || existsSync(`${directory}/report/spun`)) return;
    appendFileSync(`${directory}/report/spun`, "");
    for (const end = performance.now() + 60_000; performance.now() < end; );
  };
  work(drain, (control) => appendFileSync(`${directory}/report/orders`, `${control}\n`));
  drain();
  return 0;
}

function examiner(directory: string, behaviour: string): void {
  const deadMan = new Timer(inherited.deadManOfExaminer);
  deadMan.disarm();
  if (behaviour === "examiner hangs" && !existsSync(`${directory}/hung`)) {
    deadMan.armEvery(intervalNs);
    // As a file system does that does not answer: nobody ever opens the other end.
    Bun.spawnSync(["mkfifo", `${directory}/fifo`]);
    // Last, because for a moment the child that makes the pipe has this process's command line.
    appendFileSync(`${directory}/hung`, "");
    readFileSync(`${directory}/fifo`);
  }
  work(
    () => undefined,
    () => undefined,
  );
}

const [command, ...words] = process.argv.slice(2);
if (command === "run") {
  const [directory = "", behaviour = ""] = words;
  process.exitCode = supervise({
    runId: directory,
    plans: (user) => ({
      warden: JSON.stringify([directory, behaviour]),
      reporter: JSON.stringify({ directory, user, behaviour }),
      examiner: JSON.stringify([directory, behaviour]),
    }),
    sensorFallback: behaviour !== "crash with ebpf",
    stateDirectory: directory,
    reporterUser: undefined,
    deadManMs,
    environment: process.env,
  });
} else {
  const plan = readPlan(words);
  if (command === "supervisor" || command === "standby") process.exitCode = await continueSupervising(plan);
  else if (command === "warden") {
    const [directory, behaviour] = JSON.parse(plan);
    process.exitCode = warden(directory, behaviour, words[2], words[3]);
  } else if (command === "reporter") process.exitCode = reporter(JSON.parse(plan));
  else if (command === "examiner") {
    const [directory, behaviour] = JSON.parse(plan);
    examiner(directory, behaviour);
  }
}
