// The one table of what each of treewarden's processes may do: its capabilities, its files and its system calls, each
// with the reason. `doctor` prints it, docs/privileges.md is generated from it, the systemd unit must agree with it, and
// test/system/privileges.test.ts compares it with every thread of the processes that run.
import type { Config } from "../config/config.ts";
import type { Capability } from "../linux/capabilities.ts";
import { type ArgumentTest, type CallRule, OWN_PID } from "../linux/seccomp.ts";
import { callsOf, isSystemCall, type SystemCall, type SystemCallGroup } from "../linux/system-calls.ts";
import { mayOpen } from "../vocabulary/sensors.ts";

/** The standby is a supervisor that waits: it has what the supervisor has. */
export const processRoles = ["supervisor", "warden", "examiner", "reporter"] as const;
export type ProcessRole = (typeof processRoles)[number];

/** What of the configuration decides about privileges. */
export interface PrivilegeMode {
  readonly source: Config["source"];
  /** `network.watch` is not `off`. */
  readonly network: boolean;
  readonly enforcement: Config["enforcement"];
  /** The reporter runs sendmail. */
  readonly mail: boolean;
  /** sendmail works by its set-id bits. */
  readonly setIdMail: boolean;
  /** Evidence is taken of what is killed. */
  readonly evidence: boolean;
  /** The reporter connects to a collector. */
  readonly exports: boolean;
}

interface Condition {
  readonly text: string;
  readonly holds: (mode: PrivilegeMode) => boolean;
}

/** When a process has a privilege. */
const conditions = {
  always: { text: "always", holds: () => true },
  ebpf: { text: "source: ebpf or auto", holds: ({ source }) => mayOpen(source, "ebpf") },
  netlink: { text: "source: netlink or auto", holds: ({ source }) => mayOpen(source, "netlink") },
  ebpfNetwork: {
    text: "source: ebpf or auto, and network.watch is not off",
    holds: ({ source, network }) => mayOpen(source, "ebpf") && network,
  },
  kill: { text: "enforcement: kill", holds: ({ enforcement }) => enforcement !== "observe" },
  evidence: {
    text: "enforcement: kill, and evidence.enabled",
    holds: ({ enforcement, evidence }) => enforcement !== "observe" && evidence,
  },
  mail: { text: "mail.to is set", holds: ({ mail }) => mail },
  noMail: { text: "mail.to is not set", holds: ({ mail }) => !mail },
  exports: { text: "OTLP is set, or mail.to", holds: ({ exports, mail }) => exports || mail },
} as const satisfies Readonly<Record<string, Condition>>;

type ConditionName = keyof typeof conditions;

interface CapabilityRow {
  readonly role: ProcessRole;
  readonly capability: Capability;
  readonly when: ConditionName;
  /** Completes "to ...". */
  readonly reason: string;
}

/** The supervisor has, besides its own, those of all its children: nobody can be given what the parent does not have. */
const capabilityRows: readonly CapabilityRow[] = [
  {
    role: "supervisor",
    capability: "CAP_SETPCAP",
    when: "always",
    reason: "take from each child what it does not need",
  },
  { role: "supervisor", capability: "CAP_KILL", when: "always", reason: "end the reporter" },
  {
    role: "supervisor",
    capability: "CAP_SYS_PTRACE",
    when: "always",
    reason: "know the children of a supervisor that died by a descriptor",
  },
  {
    role: "supervisor",
    capability: "CAP_SYS_NICE",
    when: "always",
    reason: "give the processes that decide the CPU before others",
  },
  {
    role: "supervisor",
    capability: "CAP_NET_ADMIN",
    when: "always",
    reason: "give the sockets between its children buffers above net.core.wmem_max",
  },
  { role: "warden", capability: "CAP_BPF", when: "ebpf", reason: "load the eBPF sensor" },
  { role: "warden", capability: "CAP_PERFMON", when: "ebpf", reason: "attach it to tracepoints" },
  {
    role: "warden",
    capability: "CAP_NET_ADMIN",
    when: "ebpfNetwork",
    reason:
      "see and deny connections: attach it to control groups, once a rule or network.watch asks for that",
  },
  {
    role: "warden",
    capability: "CAP_NET_ADMIN",
    when: "netlink",
    reason: "receive from the process connector, with a buffer above net.core.rmem_max",
  },
  {
    role: "warden",
    capability: "CAP_SYS_PTRACE",
    when: "always",
    reason: "read /proc/PID/exe, cwd and root of other users' processes",
  },
  {
    role: "warden",
    capability: "CAP_SYS_NICE",
    when: "netlink",
    reason: "read /proc before a short-lived program is gone",
  },
  {
    role: "warden",
    capability: "CAP_SYS_NICE",
    when: "kill",
    reason: "judge at once what may have to be killed",
  },
  {
    role: "warden",
    capability: "CAP_KILL",
    when: "kill",
    reason: "kill processes of every user",
  },
  {
    role: "warden",
    capability: "CAP_DAC_READ_SEARCH",
    when: "evidence",
    reason: "open /proc/PID/fd and environ of what it kills",
  },
  {
    role: "reporter",
    capability: "CAP_SETUID",
    when: "always",
    reason: "become its own user, which ends all its capabilities",
  },
  { role: "reporter", capability: "CAP_SETGID", when: "always", reason: "join its own group only, likewise" },
  {
    role: "examiner",
    capability: "CAP_DAC_READ_SEARCH",
    when: "always",
    reason: "read the programs and scripts of every user",
  },
];

/** Capabilities that only `treewarden run` uses, before it becomes the supervisor and drops them. */
export const startCapabilities: readonly { readonly name: string; readonly reason: string }[] = [
  { name: "CAP_CHOWN", reason: "give the reporter its part of the state directory" },
];

/**
 * True if what the process starts must be able to gain rights by set-id bits. Then the process cannot have
 * no_new_privs, nor a filter of system calls, which requires it, and its bounding set stays as it is.
 */
export function mustStartSetIdPrograms(role: ProcessRole, { mail, setIdMail }: PrivilegeMode): boolean {
  return mail && setIdMail && (role === "supervisor" || role === "reporter");
}

/** Which files a process can open, by Landlock. */
export type FileScope = "everything" | "read everything" | "read the system, write its own folder";

interface FileRow {
  readonly role: ProcessRole;
  readonly when: ConditionName;
  readonly scope: FileScope;
  readonly reason: string;
}

const fileRows: readonly FileRow[] = [
  {
    role: "supervisor",
    when: "always",
    scope: "everything",
    reason: "what Landlock takes from it is taken from the warden",
  },
  {
    role: "warden",
    when: "always",
    scope: "everything",
    reason: "Landlock would keep it from reading /proc/PID of other processes",
  },
  {
    role: "examiner",
    when: "always",
    scope: "read everything",
    reason: "it opens no file to write: a copy of evidence goes into a file that the warden has opened",
  },
  {
    role: "reporter",
    when: "noMail",
    scope: "read the system, write its own folder",
    reason: "its journal is all that it writes",
  },
  { role: "reporter", when: "mail", scope: "everything", reason: "a sendmail may use any file" },
];

interface CallRow {
  readonly role: ProcessRole;
  readonly when: ConditionName;
  /** For people, who know that every process computes, reads files and waits. */
  readonly what: string;
  /** Groups of calls that are allowed whatever their arguments are. */
  readonly groups: readonly SystemCallGroup[];
  /** Single calls, with the arguments for which each is allowed. */
  readonly calls?: Readonly<Partial<Record<SystemCall, CallRule>>>;
}

/** linux/socket.h, linux/netlink.h */
const [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK] = [1, 2, 10, 16];
const [NETLINK_ROUTE, NETLINK_CONNECTOR] = [0, 11];
/** linux/net.h: the other bits of a socket's type are flags. */
const SOCK_TYPE_MASK = 0xf;
const SOCK_STREAM = 1;
const family = (equals: number) => ({ argument: 0, equals });
const protocol = (equals: number) => ({ argument: 2, equals });

const ordinary: readonly SystemCallGroup[] = ["memory", "threads", "time", "waiting", "files", "identity"];

// Of some ordinary calls the runtime uses only a part, and the rest would let injected code start processes, signal them
// or bring in code of its own. Numbers: linux/sched.h, linux/mman.h, linux/prctl.h, asm-generic/ioctls.h.
const CLONE_THREAD = 0x1_0000;
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET */
const NAMESPACES = 0x7e02_0000;
const PROT_EXEC = 4;
const MAP_ANONYMOUS = 0x20;
const notExecutable = [[{ argument: 2, mask: PROT_EXEC, equals: 0 }]] as const;
const PR_SET_DUMPABLE = 4;
const anyOf = (
  argument: number,
  values: Readonly<Record<string, number>>,
): readonly (readonly ArgumentTest[])[] => Object.values(values).map((equals) => [{ argument, equals }]);

/** Requests of ioctl(2) that the runtime makes on any descriptor. */
const requests = {
  TCGETS: 0x5401,
  TIOCGWINSZ: 0x5413,
  FIONREAD: 0x541b,
  FIONBIO: 0x5421,
  FIONCLEX: 0x5450,
  FIOCLEX: 0x5451,
};

/** Calls of the ordinary groups that are allowed with some arguments only. */
const restrained: Readonly<Partial<Record<SystemCall, CallRule>>> = {
  // The runtime maps all memory for its compiled code before its first line runs; later only libraries need some.
  mmap: notExecutable,
  mprotect: notExecutable,
  clone: [[{ argument: 0, mask: CLONE_THREAD | NAMESPACES, equals: CLONE_THREAD }]],
  // The collector stops the runtime's threads by signals.
  tgkill: [[{ argument: 0, equals: OWN_PID }]],
  prctl: [
    ...anyOf(0, {
      PR_GET_DUMPABLE: 3,
      PR_SET_NAME: 15,
      PR_GET_NAME: 16,
      PR_GET_NO_NEW_PRIVS: 39,
      PR_SET_VMA: 0x5356_4d41,
    }),
    // Not the way back.
    [
      { argument: 0, equals: PR_SET_DUMPABLE },
      { argument: 1, equals: 0 },
    ],
  ],
  ioctl: anyOf(1, requests),
};

/** By which the reporter becomes its own user; from then on they change nothing. */
const becomeUser: Readonly<Partial<Record<SystemCall, CallRule>>> = {
  setgroups: true,
  setgid: true,
  setuid: true,
  setresgid: true,
  setresuid: true,
};

/** For processes that start programs, which need more than the runtime does, but no namespaces of their own. */
const unrestrained: Readonly<Partial<Record<SystemCall, CallRule>>> = {
  mmap: true,
  mprotect: true,
  clone: [[{ argument: 0, mask: NAMESPACES, equals: 0 }]],
  tgkill: true,
  prctl: true,
  ioctl: true,
};

const callRows: readonly CallRow[] = [
  {
    role: "supervisor",
    when: "always",
    what: "start programs, and whatever its children may do",
    groups: [...ordinary, "changes", "sockets", "network", "programs", "otherPrograms", "rights", "kernel"],
    calls: unrestrained,
  },
  {
    role: "warden",
    when: "always",
    what: "bpf",
    groups: [...ordinary, "changes", "sockets"],
    // linux/nsfs.h: NS_GET_USERNS returns the owner of the mounts that a process sees.
    calls: { ...restrained, bpf: true, ioctl: anyOf(1, { ...requests, NS_GET_USERNS: 0xb701 }) },
  },
  {
    role: "warden",
    when: "netlink",
    what: "open a socket of the process connector",
    groups: [],
    calls: { socket: [[family(AF_NETLINK), protocol(NETLINK_CONNECTOR)]], bind: true },
  },
  {
    role: "warden",
    when: "kill",
    what: "signal other processes",
    groups: [],
    calls: { pidfd_send_signal: true },
  },
  {
    role: "examiner",
    when: "always",
    what: "none",
    groups: [...ordinary, "sockets"],
    calls: { ...restrained, ioprio_set: true },
  },
  {
    role: "reporter",
    when: "always",
    what: "accept connections",
    groups: [...ordinary, "changes", "sockets"],
    calls: {
      ...restrained,
      ...becomeUser,
      socket: [[family(AF_INET)], [family(AF_INET6)]],
      bind: true,
      listen: true,
      accept: true,
      accept4: true,
    },
  },
  {
    role: "reporter",
    when: "exports",
    what: "connect to a collector, and to what resolves its name",
    groups: [],
    calls: {
      // The C library may load a library to resolve a name (nsswitch.conf(5)).
      mmap: [...notExecutable, [{ argument: 3, mask: MAP_ANONYMOUS, equals: 0 }]],
      socket: [
        [family(AF_INET)],
        [family(AF_INET6)],
        // No datagrams, by which a service manager is notified: it would believe any process of the service.
        [family(AF_UNIX), { argument: 1, mask: SOCK_TYPE_MASK, equals: SOCK_STREAM }],
        [family(AF_NETLINK), protocol(NETLINK_ROUTE)],
      ],
      connect: true,
    },
  },
  {
    role: "reporter",
    when: "mail",
    what: "start sendmail, and whatever it does",
    groups: [...ordinary, "changes", "sockets", "network", "programs", "otherPrograms", "rights"],
    calls: unrestrained,
  },
];

/**
 * Bytes of private memory that a process may have (setrlimit(2), RLIMIT_DATA) beyond what the runtime reserves at its
 * start and hardly uses. A process that needs as much is out of control; at the limit it ends and is started again.
 */
export const memoryHeadroom = 1 << 30;

/**
 * The capabilities of a process: exactly its effective, permitted and bounding set. The reporter has only the bounding set
 * left once it has become its own user.
 */
export function capabilitiesOf(role: ProcessRole, mode: PrivilegeMode): ReadonlySet<Capability> {
  const holders: readonly ProcessRole[] = role === "supervisor" ? processRoles : [role];
  return new Set(
    capabilityRows
      .filter((row) => holders.includes(row.role) && conditions[row.when].holds(mode))
      .map(({ capability }) => capability),
  );
}

export function fileScopeOf(role: ProcessRole, mode: PrivilegeMode): FileScope {
  const row = fileRows.find((each) => each.role === role && conditions[each.when].holds(mode));
  return row?.scope ?? "everything";
}

/** The system calls of a process with the arguments for which each is allowed; all others are refused. */
export function systemCallsOf(role: ProcessRole, mode: PrivilegeMode): ReadonlyMap<SystemCall, CallRule> {
  const rules = new Map<SystemCall, CallRule>();
  for (const row of callRows) {
    if (row.role !== role || !conditions[row.when].holds(mode)) continue;
    for (const call of row.groups.flatMap(callsOf)) if (!rules.has(call)) rules.set(call, true);
    // Each row allows at least what the rows above it allow.
    for (const [call, rule] of Object.entries(row.calls ?? {})) if (isSystemCall(call)) rules.set(call, rule);
  }
  return rules;
}

/** A line of the table, for people. */
export interface PrivilegeLine {
  readonly process: ProcessRole;
  readonly privilege: string;
  /** The settings under which the process has it. */
  readonly when: string;
  readonly reason: string;
  /** False: the configuration given to `privilegeLines` does not have it. */
  readonly inForce: boolean;
}

/** The whole table; `inForce` is by `mode`. */
export function privilegeLines(mode: PrivilegeMode): readonly PrivilegeLine[] {
  const line = (
    process: ProcessRole,
    condition: ConditionName,
    privilege: string,
    reason: string,
  ): PrivilegeLine => {
    const { text, holds }: Condition = conditions[condition];
    return { process, privilege, when: text, reason, inForce: holds(mode) };
  };
  return processRoles.flatMap((role) => [
    ...capabilityRows
      .filter((row) => row.role === role)
      .map(({ capability, when, reason }) => line(role, when, capability, reason)),
    ...fileRows
      .filter((row) => row.role === role)
      .map(({ when, scope, reason }) => line(role, when, `files: ${scope}`, reason)),
    ...callRows
      .filter((row) => row.role === role)
      .map(({ when, what }) => line(role, when, `system calls: ${what}`, "")),
  ]);
}
