// A part of the exec program: the path of the process's control group, the same as /proc shows it.
import {
  aluImm,
  type Code,
  fp,
  jump,
  jumpIfImm,
  labelHere,
  load,
  movImm,
  r0,
  r3,
  r4,
  r6,
  r7,
  r8,
  r9,
  store,
  storeImm,
} from "../../linux/bpf/assembler.ts";
import { PATH_MAX } from "../../linux/kernel-constants.ts";
import { appendName, beginStep, follow, member, type ProgramMaps, setFlag } from "./code.ts";
import { FieldSpace } from "./fields.ts";
import type { CgroupLayout, KernelLayout, SystemdLayout } from "./kernel.ts";
import { execLayout, FIELD_BYTES, recordFlags, TTY_MAX, walkState } from "./layout.ts";

/** Maximum depth of a path: systemd and the container runtimes nest at most ten levels. */
const DEPTH = 32;
/** Maximum number of hierarchies: one for each of the 14 old controllers, systemd's, and the unified one. */
const HIERARCHIES = 16;

/** Where loops save r9, as an offset from r7. */
const END = walkState.end - walkState.size;
// Words on the stack, below those of exec.ts, which are still in use.
const COUNTER = -40;
const KEPT = -48;

/** Appends the path, leaf to root. r6 is the task. Loses r8. Jumps to `lost` if the record exceeds its limit. */
export function cgroupPath(kernel: KernelLayout, maps: ProgramMaps): Code {
  const layout = kernel.cgroup;
  if (layout === undefined) return store(4, r7, execLayout.cgroupEnd, r9);
  const { taskSet, set, cgroup, node, systemd } = layout;
  // With two hierarchies, the verifier does not know the struct type of the one that is chosen at run time.
  const read = systemd === undefined ? member : follow;
  const limit = execLayout.texts + PATH_MAX + maps.argsBytes + TTY_MAX + PATH_MAX;
  return [
    load(8, r8, r6, taskSet),
    store(8, fp, KEPT, r8),
    read(r8, r8, set.defaultCgroup),
    read(r8, r8, cgroup.node),
    systemd === undefined ? [] : systemdInstead(systemd, layout),
    storeImm(8, fp, COUNTER, DEPTH),
    store(8, r7, END, r9),
    labelHere("cgroup"),
    beginStep(END, limit, "cgroup cut"),
    // The root has no parent and no name.
    read(r4, r8, node.parent),
    jumpIfImm(r4, "==", 0, "cgroup done"),
    store(8, fp, KEPT, r4),
    read(r3, r8, node.name),
    appendName(END, "cgroup unnamed"),
    load(8, r8, fp, KEPT),
    load(8, r4, fp, COUNTER),
    aluImm("sub", r4, 1),
    store(8, fp, COUNTER, r4),
    jumpIfImm(r4, "!=", 0, "cgroup"),
    labelHere("cgroup cut"),
    setFlag(execLayout.flags, recordFlags.cgroupCut),
    labelHere("cgroup done"),
    load(8, r9, r7, END),
    jumpIfImm(r9, ">", limit, "lost"),
    store(4, r7, execLayout.cgroupEnd, r9),
  ];
}

/**
 * Sets r8 to the node in systemd's own hierarchy if the process is in the root of the unified one. fp + KEPT has the
 * css_set, whose list links to the cgroup of each hierarchy.
 */
function systemdInstead(systemd: SystemdLayout, { cgroup, node }: CgroupLayout): Code {
  const space = new FieldSpace(walkState.size, FIELD_BYTES);
  // The fields of a link, relative to its list_head.
  const link = space.fields({
    next: [systemd.onwards, 8],
    cgroup: [systemd.link.cgroup - systemd.link.place, 8],
  });
  return [
    follow(r4, r8, node.parent),
    jumpIfImm(r4, "!=", 0, "hierarchy found"),
    load(8, r8, fp, KEPT),
    follow(r8, r8, systemd.set.links + systemd.onwards),
    storeImm(8, fp, COUNTER, HIERARCHIES),
    labelHere("hierarchy"),
    load(8, r4, fp, COUNTER),
    aluImm("sub", r4, 1),
    store(8, fp, COUNTER, r4),
    jumpIfImm(r4, "==", 0, "no hierarchy"),
    link.read(r8),
    link.get(r8, "next"),
    link.get(r3, "cgroup"),
    follow(r3, r3, systemd.cgroup.root),
    follow(r0, r3, systemd.root.id, 4),
    jumpIfImm(r0, "!=", systemd.hierarchyId, "hierarchy"),
    link.get(r8, "cgroup"),
    follow(r8, r8, cgroup.node),
    jump("hierarchy found"),
    labelHere("no hierarchy"),
    // The hierarchy existed when the programs were built, so the path is unknown rather than the root.
    setFlag(execLayout.flags, recordFlags.cgroupCut),
    movImm(r8, 0),
    labelHere("hierarchy found"),
  ];
}
