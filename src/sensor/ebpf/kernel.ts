// Where this kernel keeps what the programs read: the only place that names the kernel's structs.
import { readFileSync } from "node:fs";
import { type Btf, BtfError, readKernelBtf } from "../../linux/bpf/btf.ts";

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
    readonly cgroups: number | undefined;
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
  /** Which argument of sched_process_exit says that the whole thread group is dead; undefined before 6.16. */
  readonly groupDeadArgument: number | undefined;
}

export interface CgroupLayout {
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
  "css_set",
  "cgroup",
  "cgroup_root",
  "cgrp_cset_link",
  "kernfs_node",
];

/** Reads the running kernel's layout. Throws a BtfError if it has no BTF, or lacks what the programs cannot do without. */
export function readKernelLayout(): KernelLayout {
  return kernelLayout(readKernelBtf(structs, ["sched_process_exit"]), systemdHierarchy());
}

/** `systemdHierarchy`: the number of the hierarchy `name=systemd`, if there is one. */
export function kernelLayout(btf: Btf, systemdHierarchy: number | undefined): KernelLayout {
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
      cgroups: btf.find("task_struct", "cgroups"),
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
    cgroup: cgroupLayout(btf, systemdHierarchy),
    groupDeadArgument: (btf.tracepointArguments("sched_process_exit") ?? 1) >= 2 ? 1 : undefined,
  };
}

function cgroupLayout(btf: Btf, systemdHierarchy: number | undefined): CgroupLayout | undefined {
  if (btf.find("task_struct", "cgroups") === undefined) return undefined;
  return {
    setDefault: btf.offset("css_set", "dfl_cgrp"),
    node: btf.offset("cgroup", "kn"),
    nodeParent: first(btf, "kernfs_node", ["__parent", "parent"]), // 6.15, before
    nodeName: btf.offset("kernfs_node", "name"),
    systemd:
      systemdHierarchy === undefined
        ? undefined
        : {
            hierarchyId: systemdHierarchy,
            setLinks: btf.offset("css_set", "cgrp_links"),
            link: btf.offset("cgrp_cset_link", "cgrp_link"),
            linkCgroup: btf.offset("cgrp_cset_link", "cgrp"),
            root: btf.offset("cgroup", "root"),
            rootId: btf.offset("cgroup_root", "hierarchy_id"),
          },
  };
}

/** The number of systemd's own hierarchy (cgroups(7)); undefined if it is not mounted. */
function systemdHierarchy(): number | undefined {
  try {
    const number = /^(\d+):name=systemd:/m.exec(readFileSync("/proc/self/cgroup", "latin1"))?.[1];
    return number === undefined ? undefined : Number(number);
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
