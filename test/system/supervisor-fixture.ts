// A stand-in for treewarden: the real supervisor over a warden that sends numbers, a reporter that notes them and an
// examiner that sleeps.
//   run DIRECTORY OPTIONS-JSON | supervisor PLAN | warden DIRECTORY BEHAVIOUR [REASON] | reporter DIRECTORY | examiner DIRECTORY
import { appendFileSync, existsSync } from "node:fs";
import { EPOLLIN, Poll } from "../../src/linux/epoll.ts";
import { receivePacket, sendPacket } from "../../src/linux/socketpair.ts";
import { Timer } from "../../src/linux/timerfd.ts";
import { type Control, inherited, readControl } from "../../src/supervisor/inherited.ts";
import { continueSupervising, supervise } from "../../src/supervisor/supervise.ts";

const deadManMs = 400;

/** Calls `tick` about every 10 ms, until told to end. */
function work(tick: () => void, told: (control: Control) => void): void {
  using poll = new Poll();
  poll.add(inherited.control, 1, EPOLLIN);
  for (;;) {
    const ready = poll.wait(10);
    tick();
    if (ready === 0) continue;
    for (const control of readControl()) {
      told(control);
      if (control === "stop" || control === "hangup") return;
    }
  }
}

function warden(directory: string, behaviour: string, ebpfRefusal: string | undefined): number {
  if (behaviour === "refuse") return 2;
  if (behaviour.startsWith("crash")) {
    appendFileSync(`${directory}/starts`, `${ebpfRefusal ?? "ebpf"}\n`);
    if (ebpfRefusal === undefined) process.kill(process.pid, "SIGSEGV");
  }
  const deadMan = new Timer(inherited.deadMan);
  const packet = new Uint32Array(2);
  const bytes = new Uint8Array(packet.buffer);
  packet[0] = process.pid;
  let hang = behaviour === "hang" && !existsSync(`${directory}/hung`);
  const tick = () => {
    deadMan.armOnce(deadManMs * 1e6);
    packet[1] = (packet[1] ?? 0) + 1;
    sendPacket(inherited.report, bytes);
    if (hang) {
      appendFileSync(`${directory}/hung`, "");
      hang = false;
      Bun.sleepSync(60_000);
    }
    deadMan.disarm();
  };
  work(tick, (control) => {
    appendFileSync(`${directory}/warden.orders`, `${control}\n`);
    if (behaviour === "deaf" && control === "stop") Bun.sleepSync(60_000);
  });
  // What a warden sends last must still arrive.
  packet[1] = 0xffff_ffff;
  sendPacket(inherited.report, bytes);
  return 0;
}

function reporter(directory: string): number {
  const bytes = new Uint8Array(new ArrayBuffer(8));
  const packet = new Uint32Array(bytes.buffer);
  const drain = () => {
    let noted = "";
    while (receivePacket(inherited.report, bytes) === 8) noted += `${packet[0]} ${packet[1]}\n`;
    appendFileSync(`${directory}/report/noted`, noted);
  };
  work(drain, (control) => appendFileSync(`${directory}/report/orders`, `${control}\n`));
  drain();
  return 0;
}

const [command, directory = "", more = "", reason] = process.argv.slice(2);
if (command === "run") {
  process.exitCode = supervise({
    runId: directory,
    wardenArgs: [directory, more],
    reporterArgs: [directory],
    examinerArgs: [directory],
    sensorFallback: more !== "crash with ebpf",
    stateDirectory: directory,
    reporterUser: undefined,
    deadManMs,
    environment: process.env,
  });
} else if (command === "supervisor") process.exitCode = await continueSupervising([directory]);
else if (command === "warden") process.exitCode = warden(directory, more, reason);
else if (command === "reporter") process.exitCode = reporter(directory);
else if (command === "examiner")
  work(
    () => undefined,
    () => undefined,
  );
