// The offsets of the kernel's fields that only the network programs read.
import { release } from "node:os";
import { readKernelBtf } from "../../../linux/bpf/btf.ts";
import {
  groupDeadArgument,
  hasPreemptiblePrograms,
  kernelFunctions,
  type LayoutOf,
  layoutOf,
  type Preemption,
  preemptionOf,
  type Structs,
  tracepointOf,
} from "../kernel.ts";

const structs = {
  task: {
    struct: "task_struct",
    members: {
      pid: "pid",
      tgid: "tgid",
      startBoottime: "start_boottime",
      groupLeader: "group_leader",
      selfExecId: "self_exec_id",
      cred: "cred",
      nsproxy: "nsproxy",
      signal: "signal",
    },
  },
  signal: { struct: "signal_struct", members: { live: "live" } },
  cred: { struct: "cred", members: { euid: "euid" } },
  nsproxy: { struct: "nsproxy", members: { net: "net_ns" } },
  net: { struct: "net", members: { inum: "ns.inum" } },
  sock: {
    struct: "sock",
    members: {
      family: "__sk_common.skc_family",
      address4: "__sk_common.skc_rcv_saddr",
      // CONFIG_IPV6
      address6: { optional: "__sk_common.skc_v6_rcv_saddr" },
      port: "__sk_common.skc_num",
      cookie: "__sk_common.skc_cookie.counter",
      error: "sk_err",
      // A bit field before 5.6.
      protocol: "sk_protocol",
    },
  },
} as const satisfies Structs;

const tracepoints = {
  socketState: "inet_sock_set_state",
  fork: "sched_process_fork",
  exit: "sched_process_exit",
} as const;

/** Offsets in bytes. */
export interface NetworkKernelLayout extends LayoutOf<typeof structs> {
  /** BTF type ids of the tracepoints. */
  readonly tracepoints: { readonly [T in keyof typeof tracepoints]: number };
  readonly preemption: Preemption | undefined;
  /** See `KernelLayout`. */
  readonly hasPreemptiblePrograms: boolean;
  /** See `KernelLayout`. */
  readonly groupDeadArgument: number | undefined;
}

/** Reads the running kernel's layout, some 20 ms. Throws a BtfError if it has no BTF or lacks a required member. */
export function readNetworkKernelLayout(): NetworkKernelLayout {
  const btf = readKernelBtf({
    structs: Object.values(structs).map(({ struct }) => struct),
    tracepoints: Object.values(tracepoints),
    functions: Object.values(kernelFunctions),
  });
  const exit = tracepointOf(btf, tracepoints.exit);
  return {
    ...layoutOf(btf, structs),
    tracepoints: {
      socketState: tracepointOf(btf, tracepoints.socketState).type,
      fork: tracepointOf(btf, tracepoints.fork).type,
      exit: exit.type,
    },
    preemption: preemptionOf(btf),
    hasPreemptiblePrograms: hasPreemptiblePrograms(release()),
    groupDeadArgument: groupDeadArgument(exit),
  };
}
