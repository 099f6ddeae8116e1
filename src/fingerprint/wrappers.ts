// Wrappers, which run another program, and multi-call binaries. Sources: their manual pages.

/** How to parse the arguments of a program that runs the program named in them. Strings list one-letter options. */
export interface Wrapper {
  readonly names: readonly string[];
  /** Letters that take a value. */
  readonly value?: string;
  readonly longValue?: readonly string[];
  /** Letters and long options whose value is shell code. */
  readonly code?: string;
  readonly longCode?: readonly string[];
  /** Number of operands before the program: a duration, a mask, a lock file. */
  readonly operands: number;
  /** Whether NAME=VALUE may precede the program. */
  readonly assignments?: boolean;
  /** Letter and long option whose value is split into words that include the program. */
  readonly split?: string;
  readonly longSplit?: string;
  /** The dynamic loader, which does not search PATH: a name without `/` is a file in the current directory. */
  readonly loader?: boolean;
}

export const wrappers: readonly Wrapper[] = [
  {
    names: ["env"],
    value: "uC",
    longValue: ["--unset", "--chdir", "--block-signal", "--argv0"],
    operands: 0,
    assignments: true,
    split: "S",
    longSplit: "--split-string",
  },
  { names: ["nice"], value: "n", longValue: ["--adjustment"], operands: 0 },
  { names: ["ionice"], value: "cnpPu", longValue: ["--class", "--classdata", "--pid"], operands: 0 },
  { names: ["nohup"], operands: 0 },
  { names: ["timeout"], value: "sk", longValue: ["--signal", "--kill-after"], operands: 1 },
  { names: ["stdbuf"], value: "ioe", longValue: ["--input", "--output", "--error"], operands: 0 },
  { names: ["setsid"], operands: 0 },
  { names: ["setarch"], operands: 1 },
  { names: ["linux32", "linux64", "i386", "x86_64"], operands: 0 },
  {
    names: ["chrt"],
    value: "TPD",
    longValue: ["--sched-runtime", "--sched-period", "--sched-deadline"],
    operands: 1,
  },
  { names: ["taskset"], operands: 1 },
  {
    names: ["flock"],
    value: "wE",
    longValue: ["--timeout", "--conflict-exit-code"],
    code: "c",
    longCode: ["--command"],
    operands: 1,
  },
  {
    names: ["systemd-cat"],
    value: "tp",
    longValue: ["--identifier", "--priority", "--stderr-priority", "--level-prefix"],
    operands: 0,
  },
  { names: ["systemd-inhibit"], longValue: ["--what", "--who", "--why", "--mode"], operands: 0 },
  {
    names: ["ld.so"],
    longValue: [
      "--library-path",
      "--preload",
      "--audit",
      "--argv0",
      "--inhibit-rpath",
      "--glibc-hwcaps-prepend",
      "--glibc-hwcaps-mask",
    ],
    operands: 0,
    loader: true,
  },
];

/** Binaries that contain several programs and choose one by the name they are called by. */
export const multiCall: ReadonlySet<string> = new Set([
  "busybox",
  "toybox",
  "coreutils",
  "kmod",
  "lvm",
  "xtables-nft-multi",
  "xtables-legacy-multi",
]);
