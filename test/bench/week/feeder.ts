// Writes the events of the synthetic server into a named pipe. `bun feeder.ts PIPE EXECS RATE RELEASES`: RATE execs a
// second; RELEASES is the share of jobs that run a program of a new name.
import { openSync, writeSync } from "node:fs";
import { commonLayout, execLayout, forkLayout, recordKinds } from "../../../src/sensor/ebpf/layout.ts";
import { SyntheticHost } from "../hot/host.ts";
import { HEAD, PIPE_BYTES } from "./frames.ts";

/** Above every pid that the kernel gives, so that live processes and synthetic ones do not meet. */
const FIRST_PID = 1 << 23;
/** Execs between two looks at the clock. */
const BATCH = 50;

const [, , path = "", count = "", rate = "", releases = ""] = process.argv;
const fd = openSync(path, "w");
const buffer = Buffer.alloc(PIPE_BYTES);
let length = 0;

const host = new SyntheticHost((record) => {
  const view = new DataView(record.buffer);
  const kind = view.getUint32(commonLayout.kind, true);
  // The host's own pid 1 is the parent of the synthetic services.
  if (view.getUint32(commonLayout.pid, true) === 1) return;
  move(view, commonLayout.pid);
  if (kind === recordKinds.fork) move(view, forkLayout.parentPid);
  if (kind === recordKinds.exec) move(view, execLayout.parentPid);
  if (length + HEAD + record.length > PIPE_BYTES) flush();
  buffer.writeUInt32LE(record.length, length);
  buffer.set(record, length + HEAD);
  length += HEAD + record.length;
}, Number(releases));

const begin = performance.now();
for (let execs = 0; execs < Number(count); execs += BATCH) {
  host.run("mixed", BATCH);
  const ahead = (execs / Number(rate)) * 1000 - (performance.now() - begin);
  if (ahead > 10) await Bun.sleep(ahead);
}
flush();

function move(view: DataView, field: number): void {
  const pid = view.getUint32(field, true);
  if (pid > 1) view.setUint32(field, FIRST_PID + pid, true);
}

/** Waits while the pipe is full. */
function flush(): void {
  for (let at = 0; at < length; ) at += writeSync(fd, buffer, at, length - at);
  length = 0;
}
