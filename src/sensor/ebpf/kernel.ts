// Where this kernel keeps what the programs read: the only place that names the kernel's structs.
import { readFileSync } from "node:fs";
import { type Btf, BtfError, readKernelBtf, type Tracepoint } from "../../linux/bpf/btf.ts";

/** Offsets in bytes. Those that may be undefined depend on how the kernel was configured. */
export interface KernelLayout {
  readonly task: {
    readonly pid: number;
    readonly tgid: number;
    readonly startBoottime: number;
    readonly realParent: number;
    readonly groupLeader: number;
    readonly exitCode: number;
    readonly cred: number;
    readonly mm: number;
    readonly fs: number;
    readonly nsproxy: number;
    readonly threadPid: number;
    readonly signal: number;
    readonly loginuid: number | undefined;
    readonly sessionid: number | undefined;
  };
  readonly cred: { readonly uid: number; readonly euid: number; readonly egid: number };
  readonly signal: {
    readonly live: number;
    readonly flags: number;
    readonly groupExitCode: number;
    readonly tty: number;
  };
  readonly tty: { readonly name: number };
  readonly mm: { readonly argStart: number; readonly argEnd: number; readonly exeFile: number };
  readonly bprm: { readonly filename: number; readonly interp: number };
  readonly file: { readonly mnt: number; readonly dentry: number; readonly inode: number };
  readonly inode: {
    readonly ino: number;
    readonly mode: number;
    readonly sb: number;
    readonly ctime: number;
    readonly ctimeNanoseconds: number;
  };
  readonly superBlock: { readonly dev: number };
  readonly dentry: { readonly parent: number; readonly name: number; readonly hashed: number };
  readonly mount: {
    readonly vfs: number;
    readonly parent: number;
    readonly mountpoint: number;
    readonly root: number;
    readonly namespace: number;
  };
  readonly fs: { readonly mnt: number; readonly dentry: number };
  readonly nsproxy: { readonly mnt: number };
  readonly mountNamespace: { readonly inum: number; readonly userNamespace: number };
  readonly userNamespace: { readonly level: number };
  readonly pid: {
    readonly level: number;
    readonly numbers: number;
    readonly numberSize: number;
    readonly namespace: number;
  };
  readonly pidNamespace: { readonly inum: number };
  readonly cgroup: CgroupLayout | undefined;
  /** Types of the tracepoints, in the kernel's BTF. */
  readonly tracepoints: { readonly fork: number; readonly exec: number; readonly exit: number };
  /** Which argument of sched_process_exit says that the whole thread group is dead; undefined before 6.16. */
  readonly groupDeadArgument: number | undefined;
}

export interface CgroupLayout {
  readonly set: number;
  readonly setDefault: number;
  readonly node: number;
  readonly nodeParent: number;
  readonly nodeName: number;
  /** systemd's own hierarchy, where it is mounted beside the unified one. */
  readonly systemd: SystemdLayout | undefined;
}

export interface SystemdLayout {
  readonly hierarchyId: number;
  /** css_set's list of links to its cgroups, the list's place in a link, and from there to the hierarchy's number. */
  readonly setLinks: number;
  readonly link: number;
  /** In each place of the list: the way on, from the end that is nearer. */
  readonly linkNext: number;
  readonly linkCgroup: number;
  readonly root: number;
  readonly rootId: number;
}

const structs = [
  "task_struct",
  "cred",
  "signal_struct",
  "tty_struct",
  "mm_struct",
  "linux_binprm",
  "file",
  "inode",
  "super_block",
  "dentry",
  "vfsmount",
  "mount",
  "fs_struct",
  "nsproxy",
  "mnt_namespace",
  "user_namespace",
  "pid",
  "upid",
  "pid_namespace",
  "list_head",
  "css_set",
  "cgroup",
  "cgroup_root",
  "cgrp_cset_link",
  "kernfs_node",
];

const tracepoints = ["sched_process_fork", "sched_process_exec", "sched_process_exit"];

/** Reads the running kernel's layout. Throws a BtfError if it has no BTF, or lacks what the programs cannot do without. */
export function readKernelLayout(findSystemd = systemdHierarchy): KernelLayout {
  return kernelLayout(readKernelBtf(structs, tracepoints), findSystemd());
}

/** `systemd`: the hierarchy `name=systemd`, if there is one. */
export function kernelLayout(btf: Btf, systemd: Hierarchy | undefined): KernelLayout {
  const task = (member: string) => btf.offset("task_struct", member);
  return {
    task: {
      pid: task("pid"),
      tgid: task("tgid"),
      startBoottime: task("start_boottime"),
      realParent: task("real_parent"),
      groupLeader: task("group_leader"),
      exitCode: task("exit_code"),
      cred: task("cred"),
      mm: task("mm"),
      fs: task("fs"),
      nsproxy: task("nsproxy"),
      threadPid: task("thread_pid"),
      signal: task("signal"),
      loginuid: btf.find("task_struct", "loginuid"),
      sessionid: btf.find("task_struct", "sessionid"),
    },
    cred: {
      uid: btf.offset("cred", "uid"),
      euid: btf.offset("cred", "euid"),
      egid: btf.offset("cred", "egid"),
    },
    signal: {
      live: btf.offset("signal_struct", "live"),
      flags: btf.offset("signal_struct", "flags"),
      groupExitCode: btf.offset("signal_struct", "group_exit_code"),
      tty: btf.offset("signal_struct", "tty"),
    },
    tty: { name: btf.offset("tty_struct", "name") },
    mm: {
      argStart: btf.offset("mm_struct", "arg_start"),
      argEnd: btf.offset("mm_struct", "arg_end"),
      exeFile: btf.offset("mm_struct", "exe_file"),
    },
    bprm: { filename: btf.offset("linux_binprm", "filename"), interp: btf.offset("linux_binprm", "interp") },
    file: {
      mnt: btf.offset("file", "f_path.mnt"),
      dentry: btf.offset("file", "f_path.dentry"),
      inode: btf.offset("file", "f_inode"),
    },
    inode: {
      ino: btf.offset("inode", "i_ino"),
      mode: btf.offset("inode", "i_mode"),
      sb: btf.offset("inode", "i_sb"),
      // 6.11, 6.6, before.
      ctime: first(btf, "inode", ["i_ctime_sec", "__i_ctime.tv_sec", "i_ctime.tv_sec"]),
      ctimeNanoseconds: first(btf, "inode", ["i_ctime_nsec", "__i_ctime.tv_nsec", "i_ctime.tv_nsec"]),
    },
    superBlock: { dev: btf.offset("super_block", "s_dev") },
    dentry: {
      parent: btf.offset("dentry", "d_parent"),
      name: btf.offset("dentry", "d_name.name"),
      hashed: btf.offset("dentry", "d_hash.pprev"),
    },
    mount: {
      vfs: btf.offset("mount", "mnt"),
      parent: btf.offset("mount", "mnt_parent"),
      mountpoint: btf.offset("mount", "mnt_mountpoint"),
      root: btf.offset("mount", "mnt") + btf.offset("vfsmount", "mnt_root"),
      namespace: btf.offset("mount", "mnt_ns"),
    },
    fs: { mnt: btf.offset("fs_struct", "pwd.mnt"), dentry: btf.offset("fs_struct", "pwd.dentry") },
    nsproxy: { mnt: btf.offset("nsproxy", "mnt_ns") },
    mountNamespace: {
      inum: btf.offset("mnt_namespace", "ns.inum"),
      userNamespace: btf.offset("mnt_namespace", "user_ns"),
    },
    userNamespace: { level: btf.offset("user_namespace", "level") },
    pid: {
      level: btf.offset("pid", "level"),
      numbers: btf.offset("pid", "numbers"),
      numberSize: 16, // struct upid { int nr; struct pid_namespace *ns; } on 64 bits
      namespace: btf.offset("upid", "ns"),
    },
    pidNamespace: { inum: btf.offset("pid_namespace", "ns.inum") },
    cgroup: cgroupLayout(btf, systemd),
    tracepoints: {
      fork: tracepoint(btf, "sched_process_fork").type,
      exec: tracepoint(btf, "sched_process_exec").type,
      exit: tracepoint(btf, "sched_process_exit").type,
    },
    groupDeadArgument: tracepoint(btf, "sched_process_exit").arguments >= 2 ? 1 : undefined,
  };
}

function tracepoint(btf: Btf, name: string): Tracepoint {
  const found = btf.tracepoint(name);
  if (found === undefined) throw new BtfError(`BTF: the kernel has no tracepoint ${name}`);
  return found;
}

function cgroupLayout(btf: Btf, hierarchy: Hierarchy | undefined): CgroupLayout | undefined {
  const set = btf.find("task_struct", "cgroups");
  if (set === undefined) return undefined;
  return {
    set,
    setDefault: btf.offset("css_set", "dfl_cgrp"),
    node: btf.offset("cgroup", "kn"),
    nodeParent: first(btf, "kernfs_node", ["__parent", "parent"]), // 6.15, before
    nodeName: btf.offset("kernfs_node", "name"),
    systemd:
      hierarchy === undefined
        ? undefined
        : {
            hierarchyId: hierarchy.number,
            setLinks: btf.offset("css_set", "cgrp_links"),
            link: btf.offset("cgrp_cset_link", "cgrp_link"),
            // kernel/cgroup/cgroup.c, link_css_set: the oldest hierarchy first.
            linkNext: btf.offset("list_head", hierarchy.young ? "prev" : "next"),
            linkCgroup: btf.offset("cgrp_cset_link", "cgrp"),
            root: btf.offset("cgroup", "root"),
            rootId: btf.offset("cgroup_root", "hierarchy_id"),
          },
  };
}

/** One of the hierarchies of cgroups(7). */
export interface Hierarchy {
  readonly number: number;
  /** It is among the younger half of those that are mounted. */
  readonly young: boolean;
}

/** systemd's own; undefined if it is not mounted. */
function systemdHierarchy(): Hierarchy | undefined {
  try {
    // The youngest comes first, the unified one, 0, last.
    const lines = readFileSync("/proc/self/cgroup", "latin1").trim().split("\n");
    const at = lines.findIndex((line) => /^\d+:name=systemd:/.test(line));
    return at === -1
      ? undefined
      : { number: Number.parseInt(lines[at] ?? "", 10), young: at * 2 < lines.length };
  } catch {
    return undefined;
  }
}

/** The first of several names a member had over time. */
function first(btf: Btf, struct: string, members: readonly string[]): number {
  for (const member of members) {
    const offset = btf.find(struct, member);
    if (offset !== undefined) return offset;
  }
  throw new BtfError(`BTF: struct ${struct} has none of ${members.join(", ")}`);
}
