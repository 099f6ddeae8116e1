// What is known of each interpreter's command line. Sources: each program's manual page or --help.

/** How to read an interpreter's arguments. Letters are options of one letter, which may be clustered (`-xec`). */
export interface Grammar {
  readonly kind: string;
  /** Names of the executable without its version. */
  readonly names: readonly string[];
  /** Letters that take a value: the rest of the cluster, else the next argument. */
  readonly value?: string;
  /** Letters whose value can only be the rest of the cluster (`perl -i.bak`). */
  readonly attached?: string;
  /** Letters that may have a number after them, and then further letters (`perl -0777ne`). */
  readonly digits?: string;
  /** Letters whose value is code. */
  readonly code?: string;
  /** Letters after which the first operand is code (`sh -c`). */
  readonly codeOperand?: string;
  /** Letters whose value is the script. */
  readonly file?: string;
  /** Letters whose value is a module. */
  readonly module?: string;
  /** Letters after which code comes from standard input, whatever operands there are. */
  readonly stdin?: string;
  /** Letters after which nothing is read from standard input: a server, or a word about itself. */
  readonly idle?: string;
  /** Letters after which the script is looked for in PATH. */
  readonly search?: string;
  readonly longValue?: readonly string[];
  readonly longCode?: readonly string[];
  readonly longFile?: readonly string[];
  readonly longModule?: readonly string[];
  readonly longIdle?: readonly string[];
  /** Long options begin with one `-`; there are no clusters. */
  readonly singleDash?: boolean;
  /** `+x` is an option too. */
  readonly plus?: boolean;
  /** A lone `-` ends the options instead of meaning standard input. */
  readonly dashEnds?: boolean;
  /** What the first operand is: a script, code, a class. */
  readonly operand: "script" | "code" | "class";
  /** Only operands like these are scripts. */
  readonly scripts?: RegExp;
  /** Without an operand it reads code from standard input. */
  readonly reads: boolean;
  /** First operands that are commands: the next operand is the script, or code; of any other command nothing is known. */
  readonly commands?: { readonly [word: string]: "run" | "code" | "other" };
}

const about = ["--version", "--help"];

export const grammars: readonly Grammar[] = [
  {
    kind: "shell",
    names: [
      "sh",
      "bash",
      "dash",
      "ash",
      "ksh",
      "mksh",
      "lksh",
      "pdksh",
      "zsh",
      "yash",
      "posh",
      "rbash",
      "rksh",
      "rzsh",
      "bosh",
      "osh",
      "hush",
    ],
    value: "oO",
    codeOperand: "c",
    stdin: "s",
    longValue: ["--rcfile", "--init-file", "--emulate"],
    longIdle: about,
    plus: true,
    dashEnds: true,
    operand: "script",
    reads: true,
  },
  {
    kind: "fish",
    names: ["fish"],
    code: "c",
    value: "Cdofp",
    idle: "vh",
    longCode: ["--command"],
    longValue: [
      "--init-command",
      "--debug",
      "--debug-output",
      "--features",
      "--profile",
      "--profile-startup",
    ],
    longIdle: about,
    operand: "script",
    reads: true,
  },
  {
    kind: "csh",
    names: ["csh", "tcsh", "bsd-csh"],
    codeOperand: "c",
    stdin: "s",
    longIdle: about,
    operand: "script",
    reads: true,
  },
  {
    kind: "python",
    names: ["python", "pypy", "micropython", "jython", "graalpy"],
    code: "c",
    module: "m",
    value: "WXQ",
    idle: "Vh",
    longValue: ["--check-hash-based-pycs"],
    longIdle: [...about, "--help-all", "--help-env", "--help-xoptions"],
    operand: "script",
    reads: true,
  },
  {
    kind: "perl",
    names: ["perl"],
    code: "eE",
    value: "I",
    attached: "iFMmDVxdC",
    digits: "0l",
    idle: "vh",
    search: "S",
    longIdle: about,
    operand: "script",
    reads: true,
  },
  {
    kind: "ruby",
    names: ["ruby", "jruby", "truffleruby"],
    code: "e",
    value: "IrCE",
    attached: "iFKxTW",
    digits: "0",
    idle: "h",
    search: "S",
    longValue: [
      "--encoding",
      "--external-encoding",
      "--internal-encoding",
      "--enable",
      "--disable",
      "--dump",
    ],
    longIdle: [...about, "--copyright"],
    operand: "script",
    reads: true,
  },
  {
    kind: "node",
    names: ["node", "nodejs"],
    code: "ep",
    value: "rC",
    idle: "vh",
    longCode: ["--eval", "--print"],
    longValue: [
      "--require",
      "--import",
      "--loader",
      "--experimental-loader",
      "--conditions",
      "--env-file",
      "--env-file-if-exists",
      "--title",
      "--icu-data-dir",
      "--openssl-config",
      "--redirect-warnings",
      "--diagnostic-dir",
      "--input-type",
      "--report-dir",
      "--report-directory",
      "--report-filename",
      "--report-signal",
      "--trace-event-categories",
      "--trace-event-file-pattern",
      "--tls-cipher-list",
      "--tls-keylog",
      "--unhandled-rejections",
      "--dns-result-order",
      "--cpu-prof-dir",
      "--cpu-prof-name",
      "--heap-prof-dir",
      "--heap-prof-name",
      "--watch-path",
      "--test-reporter",
      "--test-reporter-destination",
      "--test-name-pattern",
      "--experimental-default-type",
      "--disable-warning",
      "--max-http-header-size",
      "--secure-heap",
      "--secure-heap-min",
      "--stack-trace-limit",
      "--inspect-port",
      "--localstorage-file",
      "--allow-fs-read",
      "--allow-fs-write",
    ],
    longIdle: [...about, "--v8-options", "--run", "--test", "--build-snapshot"],
    operand: "script",
    reads: true,
    commands: { inspect: "run" },
  },
  {
    kind: "deno",
    names: ["deno"],
    value: "cL",
    idle: "Vh",
    longValue: [
      "--config",
      "--import-map",
      "--lock",
      "--log-level",
      "--seed",
      "--location",
      "--cert",
      "--port",
      "--host",
      "--ext",
      "--preload",
    ],
    longIdle: about,
    operand: "script",
    scripts: /[./:]/,
    reads: true,
    commands: {
      run: "run",
      serve: "run",
      eval: "code",
      add: "other",
      bench: "other",
      bundle: "other",
      cache: "other",
      check: "other",
      clean: "other",
      compile: "other",
      coverage: "other",
      doc: "other",
      fmt: "other",
      info: "other",
      init: "other",
      install: "other",
      jupyter: "other",
      lint: "other",
      lsp: "other",
      outdated: "other",
      publish: "other",
      remove: "other",
      repl: "other",
      task: "other",
      test: "other",
      types: "other",
      uninstall: "other",
      upgrade: "other",
      vendor: "other",
    },
  },
  {
    kind: "bun",
    names: ["bun"],
    code: "ep",
    value: "rcdl",
    idle: "vh",
    longCode: ["--eval", "--print"],
    longValue: [
      "--cwd",
      "--preload",
      "--require",
      "--import",
      "--env-file",
      "--config",
      "--port",
      "--define",
      "--external",
      "--loader",
      "--tsconfig-override",
      "--conditions",
      "--filter",
      "--install",
    ],
    longIdle: [...about, "--revision"],
    operand: "script",
    scripts: /[./]/,
    reads: false,
    commands: {
      run: "run",
      exec: "code",
      x: "other",
      test: "other",
      build: "other",
      install: "other",
      add: "other",
      repl: "other",
    },
  },
  {
    kind: "php",
    names: ["php", "php-cli"],
    code: "rBRE",
    file: "fF",
    value: "dcztS",
    idle: "vhimS",
    longCode: ["--run", "--process-begin", "--process-code", "--process-end"],
    longFile: ["--file", "--process-file"],
    longValue: [
      "--define",
      "--php-ini",
      "--docroot",
      "--zend-extension",
      "--rf",
      "--rc",
      "--re",
      "--rz",
      "--ri",
    ],
    longIdle: [...about, "--ini", "--info", "--modules", "--server"],
    operand: "script",
    reads: true,
  },
  {
    kind: "lua",
    names: ["lua", "luajit", "texlua"],
    code: "e",
    value: "lj",
    attached: "Ob",
    idle: "v",
    operand: "script",
    reads: true,
  },
  {
    kind: "tcl",
    names: ["tclsh", "wish"],
    singleDash: true,
    longValue: ["-encoding"],
    operand: "script",
    reads: true,
  },
  { kind: "expect", names: ["expect"], code: "c", file: "fb", idle: "v", operand: "script", reads: true },
  {
    kind: "awk",
    names: ["awk", "gawk", "mawk", "nawk", "original-awk"],
    file: "fE",
    code: "e",
    value: "FviloW",
    attached: "dpDL",
    idle: "Vh",
    longFile: ["--file", "--exec"],
    longCode: ["--source"],
    longValue: ["--field-separator", "--assign", "--include", "--load"],
    longIdle: about,
    operand: "code",
    reads: false,
  },
  {
    kind: "R",
    names: ["R", "Rscript"],
    code: "e",
    file: "f",
    value: "gd",
    longFile: ["--file"],
    longValue: ["--encoding", "--default-packages", "--gui", "--debugger"],
    longIdle: about,
    operand: "script",
    reads: true,
    commands: { CMD: "other" },
  },
  {
    kind: "java",
    names: ["java", "javaw", "java_vm"],
    singleDash: true,
    longFile: ["-jar"],
    longModule: ["-m", "--module"],
    longValue: [
      "-cp",
      "-classpath",
      "--class-path",
      "-p",
      "--module-path",
      "--add-modules",
      "--add-opens",
      "--add-exports",
      "--add-reads",
      "--patch-module",
      "--limit-modules",
      "--upgrade-module-path",
      "--enable-native-access",
      "--source",
      "-d",
      "--describe-module",
    ],
    longIdle: ["-version", "--version", "-help", "--help", "-?", "-X", "-showversion"],
    operand: "class",
    reads: false,
  },
  {
    kind: ".NET",
    names: ["dotnet", "mono", "mono-sgen"],
    singleDash: true,
    longValue: [
      "--additionalprobingpath",
      "--depsfile",
      "--runtimeconfig",
      "--fx-version",
      "--roll-forward",
      "--additional-deps",
      "--config",
    ],
    longIdle: ["--info", "--version", "--list-sdks", "--list-runtimes"],
    operand: "script",
    scripts: /\.(?:dll|exe)$/i,
    reads: false,
    commands: { exec: "run" },
  },
  {
    kind: "PowerShell",
    names: ["pwsh", "pwsh-preview"],
    singleDash: true,
    longFile: ["-File", "-f", "-file"],
    longCode: [
      "-Command",
      "-c",
      "-command",
      "-EncodedCommand",
      "-e",
      "-ec",
      "-encodedcommand",
      "-CommandWithArgs",
    ],
    longValue: [
      "-ExecutionPolicy",
      "-ex",
      "-ep",
      "-ConfigurationName",
      "-CustomPipeName",
      "-InputFormat",
      "-OutputFormat",
      "-SettingsFile",
      "-WorkingDirectory",
      "-wd",
      "-WindowStyle",
    ],
    longIdle: ["-Version", "-v", "-Help", "-h"],
    operand: "script",
    reads: true,
  },
  {
    kind: "guile",
    names: ["guile"],
    code: "c",
    file: "s",
    value: "eLClx",
    idle: "vh",
    longIdle: about,
    operand: "script",
    reads: true,
  },
  {
    kind: "julia",
    names: ["julia"],
    code: "eE",
    value: "LpJtCH",
    idle: "vh",
    longCode: ["--eval", "--print"],
    longValue: ["--load", "--procs", "--sysimage", "--threads", "--cpu-target"],
    longIdle: about,
    operand: "script",
    reads: true,
  },
];

/** A program that runs the program given in its arguments. */
export interface Wrapper {
  readonly names: readonly string[];
  readonly value?: string;
  readonly longValue?: readonly string[];
  /** Letters and long options whose value is shell code. */
  readonly code?: string;
  readonly longCode?: readonly string[];
  /** Operands before the program: a duration, a mask, a lock file. */
  readonly operands: number;
  /** NAME=VALUE before the program. */
  readonly assignments?: boolean;
  /** Letter and long option whose value is split into words, the program among them. */
  readonly split?: string;
  readonly longSplit?: string;
  /** It looks for the program in the current directory's terms only: a name without `/` is a file there. */
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

/** Programs that are many: the name they were called by says which. */
export const multiCall: ReadonlySet<string> = new Set([
  "busybox",
  "toybox",
  "coreutils",
  "kmod",
  "lvm",
  "xtables-nft-multi",
  "xtables-legacy-multi",
]);
