// A part of the exec program: the process's control group, as cgroup.ts of linux/proc has it from /proc.
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
import { appendName, beginStep, follow, member, type ProgramMaps, setFlag } from "./code.ts";
import { FieldSpace } from "./fields.ts";
import type { CgroupLayout, KernelLayout, SystemdLayout } from "./kernel.ts";
import { execLayout, FIELD_BYTES, PATH_MAX, recordFlags, TTY_MAX, walkState } from "./layout.ts";

/** Folders of a path: systemd and the container runtimes nest no deeper than ten. */
const DEPTH = 32;
/** Hierarchies: one for each of the old controllers, of which there are 14, systemd's and the unified one. */
const HIERARCHIES = 16;

/** Where loops keep r9, as an offset from r7. */
const END = walkState.end - walkState.size;
// Words on the stack, below those of exec.ts, which keeps its own meanwhile.
const COUNTER = -40;
const KEPT = -48;

/** Appends the path, leaf to root. r6: the task. Loses r8; goes to `lost` if what cannot be comes about. */
export function cgroupPath(kernel: KernelLayout, maps: ProgramMaps): Code {
  const layout = kernel.cgroup;
  if (layout === undefined) return store(4, r7, execLayout.cgroupEnd, r9);
  const { taskSet, set, cgroup, node, systemd } = layout;
  // Where there are two hierarchies, the verifier does not know the struct of the one that was found.
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
    // The root has no parent, and no name.
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
 * Where the unified hierarchy only says its root, systemd's own is what tells: r8 = that one's node. fp + KEPT: the
 * css_set, whose list has a link to the cgroup of each hierarchy.
 */
function systemdInstead(systemd: SystemdLayout, { cgroup, node }: CgroupLayout): Code {
  const space = new FieldSpace(walkState.size, FIELD_BYTES);
  // Of a link, as seen from its place in the list.
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
    // It was there when the programs were made: what cannot be found is not known, and not the root.
    setFlag(execLayout.flags, recordFlags.cgroupCut),
    movImm(r8, 0),
    labelHere("hierarchy found"),
  ];
}
