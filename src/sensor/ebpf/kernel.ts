// The offsets of the kernel's fields that the programs read. Only this file and network/kernel.ts name its structs.
import { readFileSync } from "node:fs";
import { release as kernelRelease } from "node:os";
import { type Btf, BtfError, readKernelBtf, type Tracepoint } from "../../linux/bpf/btf.ts";

/** A member's name. Of several names the first that this kernel has is used; an optional member may be missing. */
type Member = string | readonly string[] | { readonly optional: string };

/** A struct of the kernel, and its members by the names that the programs use. */
interface Struct {
  readonly struct: string;
  readonly members: Readonly<Record<string, Member>>;
}

export type Structs = Readonly<Record<string, Struct>>;
type OffsetOf<M> = M extends { readonly optional: string } ? number | undefined : number;

/** Offsets in bytes of every member in a table of structs. */
export type LayoutOf<T extends Structs> = {
  readonly [S in keyof T]: { readonly [M in keyof T[S]["members"]]: OffsetOf<T[S]["members"][M]> };
};

/** The structs that the programs read on every kernel. */
const programStructs = {
  task: {
    struct: "task_struct",
    members: {
      pid: "pid",
      tgid: "tgid",
      startBoottime: "start_boottime",
      realParent: "real_parent",
      groupLeader: "group_leader",
      exitCode: "exit_code",
      // Rises at each exec. 32 bits before 5.7.
      selfExecId: "self_exec_id",
      cred: "cred",
      mm: "mm",
      fs: "fs",
      nsproxy: "nsproxy",
      threadPid: "thread_pid",
      signal: "signal",
      // CONFIG_AUDIT
      loginuid: { optional: "loginuid" },
      sessionid: { optional: "sessionid" },
      // CONFIG_CGROUPS
      cgroups: { optional: "cgroups" },
    },
  },
  cred: { struct: "cred", members: { uid: "uid", euid: "euid", egid: "egid" } },
  signal: {
    struct: "signal_struct",
    members: { live: "live", flags: "flags", groupExitCode: "group_exit_code", tty: "tty" },
  },
  tty: { struct: "tty_struct", members: { name: "name", driver: "driver" } },
  ttyDriver: { struct: "tty_driver", members: { major: "major" } },
  mm: {
    struct: "mm_struct",
    members: {
      argStart: "arg_start",
      argEnd: "arg_end",
      envStart: "env_start",
      envEnd: "env_end",
      startStack: "start_stack",
      exeFile: "exe_file",
    },
  },
  bprm: {
    struct: "linux_binprm",
    members: { filename: "filename", interp: "interp", argc: "argc", envc: "envc" },
  },
  file: { struct: "file", members: { mnt: "f_path.mnt", dentry: "f_path.dentry", inode: "f_inode" } },
  inode: {
    struct: "inode",
    members: {
      ino: "i_ino",
      mode: "i_mode",
      uid: "i_uid",
      generation: "i_generation",
      sb: "i_sb",
      // From 6.11, from 6.6, before.
      ctime: ["i_ctime_sec", "__i_ctime.tv_sec", "i_ctime.tv_sec"],
      ctimeNanoseconds: ["i_ctime_nsec", "__i_ctime.tv_nsec", "i_ctime.tv_nsec"],
    },
  },
  superBlock: {
    struct: "super_block",
    members: { dev: "s_dev", magic: "s_magic", userNamespace: "s_user_ns" },
  },
  dentry: { struct: "dentry", members: { parent: "d_parent", name: "d_name.name", hashed: "d_hash.pprev" } },
  mount: {
    struct: "mount",
    members: {
      vfs: "mnt",
      parent: "mnt_parent",
      mountpoint: "mnt_mountpoint",
      root: "mnt.mnt_root",
      namespace: "mnt_ns",
    },
  },
  fs: {
    struct: "fs_struct",
    members: { mnt: "pwd.mnt", dentry: "pwd.dentry", rootMount: "root.mnt", rootDentry: "root.dentry" },
  },
  nsproxy: { struct: "nsproxy", members: { mnt: "mnt_ns" } },
  mountNamespace: { struct: "mnt_namespace", members: { inum: "ns.inum", userNamespace: "user_ns" } },
  userNamespace: { struct: "user_namespace", members: { level: "level" } },
  pid: { struct: "pid", members: { level: "level", numbers: "numbers" } },
  upid: { struct: "upid", members: { namespace: "ns" } },
  pidNamespace: { struct: "pid_namespace", members: { inum: "ns.inum", init: "child_reaper" } },
} as const satisfies Structs;

/** Structs for kernels with control groups. */
const cgroupStructs = {
  set: { struct: "css_set", members: { defaultCgroup: "dfl_cgrp" } },
  cgroup: { struct: "cgroup", members: { node: "kn" } },
  // From 6.15, before.
  node: { struct: "kernfs_node", members: { parent: ["__parent", "parent"], name: "name" } },
} as const satisfies Structs;

/** Structs for hosts with systemd's own hierarchy beside the unified one: they lead from a css_set to its cgroup. */
const systemdStructs = {
  set: { struct: "css_set", members: { links: "cgrp_links" } },
  link: { struct: "cgrp_cset_link", members: { place: "cgrp_link", cgroup: "cgrp" } },
  list: { struct: "list_head", members: { next: "next", previous: "prev" } },
  cgroup: { struct: "cgroup", members: { root: "root" } },
  root: { struct: "cgroup_root", members: { id: "hierarchy_id" } },
} as const satisfies Structs;

const tracepoints = {
  fork: "sched_process_fork",
  exec: "sched_process_exec",
  exit: "sched_process_exit",
  signal: "signal_generate",
} as const;

/** In a process that has got a CPU. */
const SCHEDULED = "sched_exit_tp";

/** Functions of the kernel that programs call. */
export const kernelFunctions = {
  disable: "bpf_preempt_disable",
  enable: "bpf_preempt_enable",
  signalTask: "bpf_send_signal_task",
} as const;

/** Functions of the kernel that ask security modules, and that programs are attached to. */
const securityFunctions = {
  signalCheck: "security_task_kill",
  traceCheck: "security_ptrace_access_check",
} as const;

/** Iterators, which list what the kernel has for a read(2) of a file (5.8). */
const iterators = { processes: "bpf_iter_task", files: "bpf_iter_task_file" } as const;

/** BTF type ids of what turns preemption off and on. */
export interface Preemption {
  readonly disable: number;
  readonly enable: number;
}

/** Offsets in bytes. Some are undefined on kernels that are configured without the feature. */
export interface KernelLayout extends LayoutOf<typeof programStructs> {
  readonly cgroup: CgroupLayout | undefined;
  /** BTF type ids of the tracepoints. */
  readonly tracepoints: { readonly [T in keyof typeof tracepoints]: number };
  /** BTF type ids of the iterators; undefined before 5.8. */
  readonly iterators: { readonly [I in keyof typeof iterators]: number | undefined };
  readonly preemption: Preemption | undefined;
  /** Programs on tracepoints can be preempted, and are skipped meanwhile (7.0). */
  readonly hasPreemptiblePrograms: boolean;
  /** BTF type id of bpf_send_signal_task, which signals another task than the current one; undefined before 6.13. */
  readonly signalTask: number | undefined;
  /** BTF type id of the tracepoint sched_exit_tp; undefined before 6.15. */
  readonly scheduled: number | undefined;
  /** BTF type ids; undefined in a kernel without CONFIG_SECURITY. */
  readonly securityFunctions: { readonly [F in keyof typeof securityFunctions]: number | undefined };
  /** Index of the argument of sched_process_exit that marks the end of the thread group; undefined before 6.16. */
  readonly groupDeadArgument: number | undefined;
}

export interface CgroupLayout extends LayoutOf<typeof cgroupStructs> {
  /** Offset of the css_set in task_struct. */
  readonly taskSet: number;
  /** systemd's own hierarchy, where it is mounted beside the unified one. */
  readonly systemd: SystemdLayout | undefined;
}

export interface SystemdLayout extends LayoutOf<typeof systemdStructs> {
  readonly hierarchyId: number;
  /** Offset of the link to follow in the list of hierarchies, from the end of the list that is nearer. */
  readonly onwards: number;
}

/** Size of struct upid { int nr; struct pid_namespace *ns; } on 64 bits, the element of the array `pid.numbers`. */
export const UPID_BYTES = 16;

/** Reads the running kernel's layout. Throws a BtfError if it has no BTF or lacks a required member. */
export function readKernelLayout(findSystemd = systemdHierarchy): KernelLayout {
  const structs = [programStructs, cgroupStructs, systemdStructs].flatMap((table: Structs) =>
    Object.values(table).map(({ struct }) => struct),
  );
  const names = {
    structs,
    tracepoints: [...Object.values(tracepoints), SCHEDULED],
    functions: [kernelFunctions, iterators, securityFunctions].flatMap((names) => Object.values(names)),
  };
  return kernelLayout(readKernelBtf(names), findSystemd(), kernelRelease());
}

/**
 * The layout in `btf`, of the kernel of this release. `systemd` is the hierarchy `name=systemd`, if it is mounted. Throws a
 * BtfError.
 */
export function kernelLayout(btf: Btf, systemd: Hierarchy | undefined, release: string): KernelLayout {
  const layout = layoutOf(btf, programStructs);
  const exit = tracepointOf(btf, tracepoints.exit);
  return {
    ...layout,
    cgroup: cgroupLayout(btf, layout.task.cgroups, systemd),
    tracepoints: {
      fork: tracepointOf(btf, tracepoints.fork).type,
      exec: tracepointOf(btf, tracepoints.exec).type,
      exit: exit.type,
      signal: tracepointOf(btf, tracepoints.signal).type,
    },
    iterators: {
      processes: btf.function(iterators.processes),
      files: btf.function(iterators.files),
    },
    preemption: preemptionOf(btf),
    hasPreemptiblePrograms: hasPreemptiblePrograms(release),
    signalTask: btf.function(kernelFunctions.signalTask),
    scheduled: btf.tracepoint(SCHEDULED)?.type,
    securityFunctions: {
      signalCheck: btf.function(securityFunctions.signalCheck),
      traceCheck: btf.function(securityFunctions.traceCheck),
    },
    groupDeadArgument: groupDeadArgument(exit),
  };
}

/** Whether the kernel of this release, such as `7.3.4+deb13-amd64`, runs programs on tracepoints with preemption. */
export function hasPreemptiblePrograms(release: string): boolean {
  return Number.parseInt(release, 10) >= 7;
}

/** The functions that turn preemption off and on; undefined before 6.10. */
export function preemptionOf(btf: Btf): Preemption | undefined {
  const [disable, enable] = [btf.function(kernelFunctions.disable), btf.function(kernelFunctions.enable)];
  return disable === undefined || enable === undefined ? undefined : { disable, enable };
}

/** Index of the argument of sched_process_exit that marks the end of the thread group; undefined before 6.16. */
export function groupDeadArgument(exit: Tracepoint): number | undefined {
  return exit.arguments >= 2 ? 1 : undefined;
}

/** Throws a BtfError if this kernel lacks the tracepoint. */
export function tracepointOf(btf: Btf, name: string): Tracepoint {
  const found = btf.tracepoint(name);
  if (found === undefined) throw new BtfError(`BTF: the kernel has no tracepoint ${name}`);
  return found;
}

function cgroupLayout(
  btf: Btf,
  taskSet: number | undefined,
  hierarchy: Hierarchy | undefined,
): CgroupLayout | undefined {
  if (taskSet === undefined) return undefined;
  return { ...layoutOf(btf, cgroupStructs), taskSet, systemd: hierarchy && systemdLayout(btf, hierarchy) };
}

function systemdLayout(btf: Btf, { number, young }: Hierarchy): SystemdLayout {
  const layout = layoutOf(btf, systemdStructs);
  // kernel/cgroup/cgroup.c, link_css_set: the oldest hierarchy first.
  return { ...layout, hierarchyId: number, onwards: young ? layout.list.previous : layout.list.next };
}

/** Looks up every member of a table. Throws a BtfError if one that is not optional is missing. */
export function layoutOf<T extends Structs>(btf: Btf, table: T): LayoutOf<T> {
  const layout = Object.fromEntries(
    Object.entries(table).map(([name, { struct, members }]) => [
      name,
      Object.fromEntries(
        Object.entries(members).map(([key, member]) => [key, offsetOf(btf, struct, member)]),
      ),
    ]),
  );
  // Built from the table's own keys, which is what the type says.
  return layout as LayoutOf<T>;
}

function offsetOf(btf: Btf, struct: string, member: Member): number | undefined {
  if (typeof member === "string") return btf.offset(struct, member);
  if ("optional" in member) return btf.find(struct, member.optional);
  for (const name of member) {
    const offset = btf.find(struct, name);
    if (offset !== undefined) return offset;
  }
  throw new BtfError(`BTF: struct ${struct} has none of ${member.join(", ")}`);
}

/** One of the hierarchies of cgroups(7). */
export interface Hierarchy {
  readonly number: number;
  /** Whether it is among the younger half of the mounted hierarchies. */
  readonly young: boolean;
}

/** systemd's own hierarchy; undefined if it is not mounted. */
function systemdHierarchy(): Hierarchy | undefined {
  try {
    // The youngest hierarchy comes first, the unified one (number 0) last.
    const lines = readFileSync("/proc/self/cgroup", "latin1").trim().split("\n");
    const index = lines.findIndex((line) => /^\d+:name=systemd:/.test(line));
    return index === -1
      ? undefined
      : { number: Number.parseInt(lines[index] ?? "", 10), young: index * 2 < lines.length };
  } catch {
    return undefined;
  }
}
