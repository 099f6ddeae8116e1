// An exec that has not happened: what is certain of its subject while its program is open, or only its file is known.
import type { Knowledge } from "../baseline/baseline.ts";
import { isShell, readsCommandLine } from "../fingerprint/program-kinds.ts";
import type { Runnable } from "../fingerprint/runnable.ts";
import { treeOf } from "../fingerprint/tree.ts";
import { ancestryOfExec, type ExecPlace, type Executor, lineageAfterExec } from "../forest/exec-lineage.ts";
import type { Lineage } from "../forest/lineage.ts";
import { type ProcessFacts, unknownFacts } from "../sensor/event.ts";
import { isJudged } from "../vocabulary/variables.ts";
import type { TreeExpression } from "./expression.ts";
import { type ExecSubject, readerOf, type Subject } from "./subject.ts";
import type { Certainty, CertainValue, PartlyKnown } from "./three-valued.ts";

/** A process as its next exec is judged. */
export interface ClosableProcess {
  readonly executor: Executor;
  /** What is known of it between two execs. */
  readonly subject: Omit<ExecSubject, "kind">;
  /** It runs a shell, of which it is not known what that was given to run. */
  readonly isAnyShell?: true;
}

export interface HypotheticalInputs {
  readonly identify: (facts: ProcessFacts) => Runnable;
  /** What the baseline knows of a lineage in the scope of a process. */
  readonly knowledgeOf: (lineage: Lineage, process: ClosableProcess) => Knowledge;
}

/** What an answer may depend on, beside lineage, unit and path. */
export interface Asked {
  readonly user: boolean;
  readonly baseline: boolean;
}

/**
 * What is open of the program. `any`: all of it. `another`: which file it is, but no condition names its path, and its
 * arguments decide nothing. `interpreter`: likewise, but its arguments decide what it runs. `nothing`: its file is known,
 * and decides alone. `arguments`: its file is known.
 */
export type Openness = "any" | "another" | "interpreter" | "nothing" | "arguments";

const EXECUTABLE_PATH = "process.executable.path";
/** Names whose value is the path of a program that its arguments do not change. */
export const pathNames: ReadonlySet<string> = new Set([EXECUTABLE_PATH, "process.runnable.path"]);

const always = ["event.name", "sensor.source"];
const ofParent = ["process.parent.executable.path", "process.parent.executable.name"];
const ofGroup = ["process.unit", "process.in_container", "container.id"];
const ofUser = ["process.user.id", "process.user.name"];
const ofExecutable = [EXECUTABLE_PATH, "process.executable.name"];
const ofPlainProgram = ["process.script.path", "process.script.inline"];
const KNOWN = "tree.known";

/** What the source reads of every exec, whatever is executed. */
const readAlways: ReadonlySet<string> = new Set([
  ...ofExecutable,
  "process.command_args",
  "process.command_line",
  "process.args_truncated",
  "process.user.id",
]);

/**
 * Programs that put their children, or themselves, into another control group before they execute: managers of services,
 * sessions, jobs, virtual machines and containers. What its unit, its container and so its part of the baseline will be is
 * open until then.
 */
const movers =
  /^(?:systemd|systemd-executor|systemd-run|init|openrc-run|supervise-daemon|sshd|sshd-session|login|cron|crond|atd|su|runuser|machinectl|cockpit-session|tmux|gdm.*|lightdm|sddm|xrdp-sesman|slurmstepd|libvirtd|virtqemud|virtlxcd|incusd|lxd|containerd-shim.*|containerd|dockerd|buildkitd|runc|crun|youki|conmon|podman|crio|lxc-start|systemd-nspawn)$/;
/** Runtimes run a copy of themselves that the container cannot write. */
const copiedMovers = /^memfd:(?:runc|crun|lxc)_cloned:/;

/** Stands for a program that is open. */
const openProgram: Runnable = {
  key: "\u0000open",
  executable: "/\u0000",
  executableName: "\u0000",
  script: undefined,
  inline: false,
  shellCommand: false,
  path: "/\u0000",
  folded: "/\u0000",
  foldedExecutable: "/\u0000",
  name: "\u0000",
  label: "\u0000",
  random: false,
  randomness: 0,
  unscored: false,
  entropy: undefined,
};

type LineageSubject = Pick<Subject, "kind" | "lineage" | "parent">;

export class HypotheticalExec implements PartlyKnown {
  readonly subject: ExecSubject;
  readonly lineages: readonly LineageSubject[];
  readonly mayHaveMoreAbove: boolean;
  private readonly openness: Openness;
  private readonly known: ReadonlySet<string>;
  /** What its parent runs is not known, and so its tree is not. */
  private readonly isBelowAnyShell: boolean;

  private constructor(
    process: ClosableProcess,
    place: ExecPlace,
    subject: ExecSubject,
    lineages: readonly LineageSubject[],
    openness: Openness,
    known: readonly string[],
  ) {
    this.subject = subject;
    this.lineages = lineages;
    this.mayHaveMoreAbove = process.isAnyShell === true;
    this.isBelowAnyShell = isBelowAnyShell(process, place);
    this.openness = openness;
    this.known = new Set(known);
  }

  /** An exec of a program that is open. undefined if the lineage is too deep. */
  static open(
    process: ClosableProcess,
    place: ExecPlace,
    openness: "any" | "another" | "interpreter",
    asked: Asked,
    inputs: HypotheticalInputs,
  ): HypotheticalExec | undefined {
    const {
      executor,
      subject: { facts },
    } = process;
    const lineage = lineageAfterExec(executor, place, openProgram, facts.uid);
    // What is executed again does not count among what the process ran before.
    const same = { ...openProgram, key: executor.lineage.program.key };
    const again = lineageAfterExec(executor, place, same, facts.uid);
    if (lineage === undefined || again === undefined) return undefined;
    const subject = subjectOf(process, place, openProgram, lineage, inputs);
    const { kind, parent } = subject;
    const lineages = [lineage, again].map((each) => ({ kind, lineage: each, parent }));
    const names = namesAtExec(process, place, asked);
    if (openness === "another") names.push(...ofPlainProgram);
    const isAsked = asked.baseline && !subject.tree.truncated && !isMover(executor);
    if (openness !== "any" && isAsked) names.push(KNOWN);
    return new HypotheticalExec(process, place, subject, lineages, openness, names);
  }

  /**
   * An exec of the file at this path; `openness`: whether its arguments may decide what it runs, as those of every file can
   * that is the interpreter of a script. undefined if the lineage is too deep.
   */
  static of(
    path: string,
    process: ClosableProcess,
    place: ExecPlace,
    asked: Asked,
    inputs: HypotheticalInputs,
    openness: "nothing" | "arguments" = readsCommandLine(path) ? "arguments" : "nothing",
  ): HypotheticalExec | undefined {
    const { facts } = process.subject;
    const program = inputs.identify({
      ...unknownFacts,
      executable: path,
      uid: facts.uid,
      cgroup: facts.cgroup,
    });
    const lineage = lineageAfterExec(process.executor, place, program, facts.uid);
    if (lineage === undefined) return undefined;
    const subject = subjectOf(process, place, program, lineage, inputs);
    const names = [...namesAtExec(process, place, asked), ...ofExecutable];
    if (openness === "nothing") {
      names.push("process.runnable.path", ...ofPlainProgram);
      // Whether a random name is scored depends on how many others its user makes.
      const isScored = !subject.tree.unscored && !program.random;
      const isTold = !isMover(process.executor) && !isBelowAnyShell(process, place);
      if (asked.baseline && isScored && isTold) names.push(KNOWN);
    }
    return new HypotheticalExec(process, place, subject, [subject], openness, names);
  }

  /** The process after the exec; undefined if it is not known what it runs, unless that is a shell. */
  after({ executor }: ClosableProcess, place: ExecPlace): ClosableProcess | undefined {
    const isAnyShell = this.openness === "arguments" && isShell(this.subject.runnable.executable);
    if (this.isBelowAnyShell || (this.openness !== "nothing" && !isAnyShell)) return undefined;
    const { kind: _, ...subject } = this.subject;
    const { lineage } = subject;
    const ancestry = ancestryOfExec(executor, place);
    const linkGuessed = place === "own" && executor.linkGuessed;
    const after = { executor: { lineage, ancestry, execed: true, linkGuessed }, subject };
    return isAnyShell ? { ...after, isAnyShell: true } : after;
  }

  valueOf(name: string): CertainValue {
    if (!this.known.has(name) || !isJudged(name)) return "open";
    const value = readerOf(name)(this.subject);
    return value === undefined ? "open" : { value };
  }

  isPresent(name: string): boolean {
    return readAlways.has(name) || this.isAnother(name) || this.valueOf(name) !== "open";
  }

  isAnother(name: string): boolean {
    if (this.openness === "interpreter") return name === EXECUTABLE_PATH;
    return this.openness === "another" && pathNames.has(name);
  }

  matchesTree({ tests }: TreeExpression): Certainty {
    const { tree } = this.subject;
    if (this.openness !== "nothing" || this.isBelowAnyShell || tree.unscored || tree.random) return undefined;
    return tests.some((test) => test(tree.labels) || test(tree.names));
  }
}

function namesAtExec(process: ClosableProcess, place: ExecPlace, { user }: Asked): string[] {
  return [
    ...always,
    ...(isBelowAnyShell(process, place) ? [] : ofParent),
    ...(isMover(process.executor) ? [] : ofGroup),
    ...(user ? ofUser : []),
  ];
}

/** Whether the exec is that of a child of a shell whose arguments, and so what it runs, are not known. */
export function isBelowAnyShell({ isAnyShell }: ClosableProcess, place: ExecPlace): boolean {
  return isAnyShell === true && place === "child";
}

function isMover({ lineage }: Executor): boolean {
  const { executable = "", executableName = "" } = lineage.program;
  return movers.test(executableName) || copiedMovers.test(executable);
}

function subjectOf(
  process: ClosableProcess,
  place: ExecPlace,
  runnable: Runnable,
  lineage: Lineage,
  inputs: HypotheticalInputs,
): ExecSubject {
  const { executor, subject } = process;
  const above = ancestryOfExec(executor, place);
  return {
    ...subject,
    kind: "exec",
    runnable,
    lineage,
    tree: treeOf(lineage),
    parentPid: undefined,
    parent: place === "own" ? subject.parent : (above ?? undefined),
    knowledge: inputs.knowledgeOf(lineage, process),
  };
}
