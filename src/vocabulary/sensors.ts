// The one table of event sources: what each can report, and how it is used. Lists of sources, their names on the command
// line and in the configuration, doctor's table and the closed attribute of metrics are derived from it; how each is
// opened stands in sensor/open.ts.
import type { JudgedVariable } from "./variables.ts";

/** How sure something is to be known of an exec. */
export type Coverage = "always" | "while it runs" | "never";

export interface SensorDescription {
  /** Its name in a sentence. */
  readonly label: string;
  /** What it is, in a few words. */
  readonly title: string;
  /** `live`: watches this host. `file`: reads what the kernel has written to a file. `scan`: a look at /proc. */
  readonly mode: "live" | "file" | "scan";
  /** Why `auto` would take it, for a person. */
  readonly advantage: string;
  /** It emits an event for each of these. */
  readonly forks: boolean;
  readonly exits: boolean;
  /** It emits what processes do on the network. */
  readonly network: boolean;
  /** When it emits a change of users that no exec brings about, such as setuid(2). */
  readonly userChanges: "at once" | "at the next fork" | "never";
  /** Executable and arguments of an exec. */
  readonly arguments: Coverage;
  /** Control group, session and terminal of an exec. */
  readonly scope: Coverage;
  /** When the event of an exec is made. */
  readonly when: "before the program runs" | "once it runs" | "after it has ended" | "at a scan";
  /** Capabilities that opening and reading it needs. */
  readonly capabilities: readonly string[];
  /** Variables that it never knows: a rule that names one of them cannot match. */
  readonly neverKnown: readonly JudgedVariable[];
}

const table = {
  ebpf: {
    label: "eBPF",
    title: "eBPF programs on the scheduler's tracepoints",
    mode: "live",
    advantage: "it names every program",
    forks: true,
    exits: true,
    network: true,
    userChanges: "at the next fork",
    arguments: "always",
    scope: "always",
    when: "before the program runs",
    capabilities: ["CAP_BPF", "CAP_PERFMON"],
    neverKnown: [],
  },
  netlink: {
    label: "proc connector",
    title: "the kernel's process connector, and /proc",
    mode: "live",
    advantage: "it needs neither eBPF nor BTF",
    forks: true,
    exits: true,
    network: false,
    userChanges: "at once",
    arguments: "while it runs",
    scope: "while it runs",
    when: "once it runs",
    capabilities: ["CAP_NET_ADMIN", "CAP_SYS_PTRACE"],
    neverKnown: ["process.environment_variable.NAME", "process.environment_truncated"],
  },
  acct: {
    label: "process accounting",
    title: "a file of process accounting",
    mode: "file",
    advantage: "it tells what ran while nobody watched",
    forks: true,
    exits: true,
    network: false,
    userChanges: "never",
    arguments: "never",
    scope: "never",
    when: "after it has ended",
    capabilities: [],
    neverKnown: [
      "process.creation.time",
      "process.executable.path",
      "process.executable.name",
      "process.command_args",
      "process.command_line",
      "process.args_truncated",
      "process.working_directory",
      "process.user.id",
      "process.user.name",
      "process.linux.cgroup",
      "process.runnable.path",
      "process.script.path",
      "process.script.inline",
      "process.parent.executable.path",
      "process.parent.executable.name",
      "process.parent.user.id",
      "process.executable.deleted",
      "process.executable.memfd",
      "process.executable.setuid",
      "process.executable.age",
      "process.executable.package",
      "process.executable.unpackaged",
      "process.executable.modified",
      "process.runnable.changed",
      "process.environment_variable.NAME",
      "process.environment_truncated",
      "process.in_container",
      "process.unit",
      "process.login_user.id",
      "process.session_id",
      "container.id",
      "container.image.name",
      "k8s.pod.name",
      "k8s.namespace.name",
      "k8s.container.name",
      "tree.user_ids",
      "tree.entropy",
    ],
  },
  procfs: {
    label: "/proc",
    title: "found by a scan of /proc",
    mode: "scan",
    advantage: "it shows what runs already",
    forks: false,
    exits: false,
    network: false,
    userChanges: "never",
    arguments: "while it runs",
    scope: "while it runs",
    when: "at a scan",
    capabilities: ["CAP_SYS_PTRACE"],
    neverKnown: ["process.environment_variable.NAME", "process.environment_truncated"],
  },
} as const satisfies Readonly<Record<string, SensorDescription>>;

export type SensorSource = keyof typeof table;

type SourceOfMode<M extends SensorDescription["mode"]> = {
  [S in SensorSource]: (typeof table)[S]["mode"] extends M ? S : never;
}[SensorSource];

/** Sources that can watch this host. */
export type LiveSource = SourceOfMode<"live">;
/** Sources that can be opened. */
export type OpenableSource = SourceOfMode<"live" | "file">;

export const sensors: Readonly<Record<SensorSource, SensorDescription>> = table;

/** Every source, in the order in which `auto` tries those that are live. */
export const sensorSources: readonly SensorSource[] = Object.keys(table).filter(isSensorSource);
export const liveSources: readonly LiveSource[] = sensorSources.filter(isLiveSource);
export const openableSources: readonly OpenableSource[] = sensorSources.filter(isOpenableSource);

/** What a configuration or `run` may ask for. */
export const sourceChoices: readonly SourceChoice[] = ["auto", ...liveSources];
export type SourceChoice = "auto" | LiveSource;

/** Whether a warden with this choice may open the source: it is the chosen one, or `auto` may fall back to it. */
export function mayOpen(choice: SourceChoice, source: LiveSource): boolean {
  return choice === source || choice === "auto";
}

/** Every source with what it is, as the meaning of a variable. */
export const sourcesText: string = sensorSources
  .map((source) => `${source} (${sensors[source].title})`)
  .join(", ");

export function isSensorSource(text: string): text is SensorSource {
  return Object.hasOwn(table, text);
}

export function isLiveSource(source: SensorSource): source is LiveSource {
  return sensors[source].mode === "live";
}

function isOpenableSource(source: SensorSource): source is OpenableSource {
  return sensors[source].mode !== "scan";
}
