// What the value of a variable depends on, and so how long a decision that names the variable stays right.

/**
 * How the key of settled execs (Sensor.settle) accounts for a dependency. `hashed`: it is part of the key. `cleared`:
 * when it changes, all settled keys are dropped. `missed`: the key does not hold it, so a kill that depends on it
 * must not wait.
 */
export type SettleKeyPart = "hashed" | "cleared" | "missed";

export interface DependencyRow {
  readonly settleKey: SettleKeyPart;
  /** Equal for all execs that share a node of the forest (forest/lineage.ts), for as long as the node lives. */
  readonly sharedByLineage: boolean;
  /** Most often the same for one exec of a lineage and the next. */
  readonly repeats: boolean;
  readonly meaning: string;
}

const table = {
  exec: {
    settleKey: "missed",
    sharedByLineage: false,
    repeats: false,
    meaning: "this one exec: its process ids and times",
  },
  socket: {
    settleKey: "missed",
    sharedByLineage: false,
    repeats: false,
    meaning: "the addresses, ports and transport of one connection, session or listening socket",
  },
  session: {
    settleKey: "hashed",
    sharedByLineage: false,
    repeats: true,
    meaning: "the session, the controlling terminal and the login user",
  },
  program: { settleKey: "hashed", sharedByLineage: false, repeats: true, meaning: "which file is executed" },
  arguments: {
    settleKey: "hashed",
    sharedByLineage: false,
    repeats: false,
    meaning: "the path and arguments given to execve(2)",
  },
  user: {
    settleKey: "hashed",
    sharedByLineage: false,
    repeats: true,
    meaning: "the effective and the real user",
  },
  directory: {
    settleKey: "hashed",
    sharedByLineage: false,
    repeats: true,
    meaning: "the current working directory",
  },
  lineage: {
    settleKey: "hashed",
    sharedByLineage: true,
    repeats: true,
    meaning: "what the process and its ancestors ran, as whom, from where and in which control group",
  },
  links: {
    settleKey: "missed",
    sharedByLineage: true,
    repeats: true,
    meaning: "how the links of the lineage were found: by an event or by a scan",
  },
  // Not shared by a lineage: a child that runs what its parent runs has its parent's own node.
  parent: {
    settleKey: "hashed",
    sharedByLineage: false,
    repeats: true,
    meaning: "the immediate parent as it was when it forked",
  },
  cgroup: { settleKey: "hashed", sharedByLineage: false, repeats: true, meaning: "the control group" },
  // The control group is hashed. A lineage that was not seen whole leaves a rule on `tree.known` undecided, and what is
  // undecided is never settled.
  scope: {
    settleKey: "hashed",
    sharedByLineage: false,
    repeats: true,
    meaning: "the unit or container image in which the baseline looks, and whether the lineage is complete",
  },
  baseline: {
    settleKey: "cleared",
    sharedByLineage: false,
    repeats: true,
    meaning: "the baseline in force and its exclusions",
  },
  users: { settleKey: "cleared", sharedByLineage: false, repeats: true, meaning: "the host's user names" },
  file: {
    settleKey: "hashed",
    sharedByLineage: false,
    repeats: true,
    meaning: "the state of the executable's file: its mode, its ctime, whether it is deleted",
  },
  // The kernel programs cannot pick names, and a hash of all of it would cost more than the read itself, for nothing:
  // hardly two environments are equal, as they hold session ids, sockets and times.
  environment: {
    settleKey: "missed",
    sharedByLineage: false,
    repeats: false,
    meaning: "the environment variables given to execve(2)",
  },
  examiner: {
    settleKey: "missed",
    sharedByLineage: false,
    repeats: true,
    meaning: "what the examiner has answered so far about files, packages and containers",
  },
  content: {
    settleKey: "missed",
    sharedByLineage: false,
    repeats: true,
    meaning: "what the runnable's file holds, as the examiner has answered so far",
  },
  time: { settleKey: "missed", sharedByLineage: false, repeats: false, meaning: "the time of the event" },
  sensor: {
    settleKey: "missed",
    sharedByLineage: false,
    repeats: true,
    meaning: "which sensor saw the event",
  },
} as const satisfies Readonly<Record<string, DependencyRow>>;

export type Dependency = keyof typeof table;

/** Every dependency and what must be known about it. */
export const dependencies: Readonly<Record<Dependency, DependencyRow>> = table;
