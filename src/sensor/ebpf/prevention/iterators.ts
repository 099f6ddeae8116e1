// Programs that list files and processes for user space. They give the numbers that the exec program reads, from which those of
// stat(2) and /proc can differ.
import {
  addTo,
  type Code,
  callHelper,
  exitInstruction,
  fp,
  jumpIf,
  jumpIfImm,
  labelHere,
  load,
  loadMapValue,
  mov,
  movImm,
  r0,
  r1,
  r2,
  r3,
  r6,
  r7,
  r8,
  r9,
  store,
  storeImm,
} from "../../../linux/bpf/assembler.ts";
import { helpers } from "../../../linux/bpf/helpers.ts";
import type { KernelLayout } from "../kernel.ts";
import type { PreventionMaps } from "./entries.ts";
import { readFileKey } from "./file.ts";
import { exceptionKey, listedFile, listedProcess, preventionPage } from "./layout.ts";

// Offsets in struct bpf_iter__task_file and bpf_iter__task of kernel/bpf/task_iter.c, and in struct bpf_iter_meta of
// linux/bpf.h (SEQ).
const META = 0;
const TASK = 8;
const DESCRIPTOR = 16;
const FILE = 24;
const SEQ = 0;

/**
 * bpf_iter_task_file(meta, task, fd, file): writes a `listedFile` for each file that the process `preventionPage.listed` has
 * open.
 */
export function filesProgram(kernel: KernelLayout, { page }: Pick<PreventionMaps, "page">): Code {
  const record = -listedFile.size;
  return [
    [load(8, r8, r1, DESCRIPTOR), load(8, r7, r1, TASK), load(8, r9, r1, FILE)],
    [load(8, r6, r1, META), load(8, r6, r6, SEQ)],
    // The last call has neither a task nor a file.
    [jumpIfImm(r7, "==", 0, "end"), jumpIfImm(r9, "==", 0, "end")],
    [loadMapValue(r1, page, preventionPage.listed), load(4, r1, r1, 0)],
    [load(4, r2, r7, kernel.task.tgid), jumpIf(r1, "!=", r2, "end")],
    readFileKey(kernel, r9, record + listedFile.file),
    storeImm(4, fp, record + listedFile.file + exceptionKey.set, 0),
    store(4, fp, record + listedFile.descriptor, r8),
    [movImm(r1, 1), jumpIfImm(r2, "==", 0, "the host's"), movImm(r1, 0), labelHere("the host's")],
    store(4, fp, record + listedFile.hosts, r1),
    write(record, listedFile.size),
    labelHere("end"),
    [movImm(r0, 0), exitInstruction],
  ];
}

/** bpf_iter_task(meta, task): writes a `listedProcess` for each thread group. */
export function processesProgram({ task, nsproxy, mountNamespace }: KernelLayout): Code {
  const record = -listedProcess.size;
  return [
    load(8, r7, r1, TASK),
    [load(8, r6, r1, META), load(8, r6, r6, SEQ)],
    jumpIfImm(r7, "==", 0, "end"),
    [load(4, r1, r7, task.pid), load(4, r2, r7, task.tgid), jumpIf(r1, "!=", r2, "end")],
    store(4, fp, record + listedProcess.pid, r2),
    [load(4, r1, r7, task.selfExecId), store(4, fp, record + listedProcess.execId, r1)],
    [load(8, r1, r7, task.startBoottime), store(8, fp, record + listedProcess.start, r1)],
    // A process that has ended has no namespaces: what is read then is 0.
    [load(8, r1, r7, task.nsproxy), load(8, r1, r1, nsproxy.mnt), load(4, r1, r1, mountNamespace.inum)],
    [store(4, fp, record + listedProcess.mounts, r1), storeImm(4, fp, record + listedProcess.unused, 0)],
    write(record, listedProcess.size),
    labelHere("end"),
    [movImm(r0, 0), exitInstruction],
  ];
}

/** Writes the record on the stack to the struct seq_file r6. */
function write(record: number, size: number): Code {
  return [mov(r1, r6), addTo(r2, fp, record), movImm(r3, size), callHelper(helpers.seqWrite)];
}
