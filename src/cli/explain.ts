// `treewarden explain`: how label, randomness, tree and verdict come about, step by step.
import { existsSync, statSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import type { PackageDatabase } from "../examiner/database.ts";
import { examine } from "../examiner/examine.ts";
import { openPackages } from "../examiner/open.ts";
import type { BaseSystem } from "../fingerprint/base.ts";
import type { ExaminedFile } from "../fingerprint/examined-file.ts";
import { type Identification, identification } from "../fingerprint/identify.ts";
import { nameOf } from "../fingerprint/path.ts";
import { looksLikeName } from "../fingerprint/program-kinds.ts";
import type { Runnable, RunnableFacts } from "../fingerprint/runnable.ts";
import { type Tree, treeOf } from "../fingerprint/tree.ts";
import { type Lineage, Lineages } from "../forest/lineage.ts";
import { bootTimeMs, realtimeNow, wallClockOffset } from "../linux/clock.ts";
import { ROOT_UID } from "../linux/root-file.ts";
import { printable } from "../linux/text.ts";
import { takeSnapshot } from "../offline/snapshot.ts";
import { whyNotCompiled } from "../policy/denials.ts";
import { type GivenEvent, givenNetworkSubject } from "../policy/given-event.ts";
import { decide, type Policy } from "../policy/policy.ts";
import type { ExecSubject } from "../policy/subject.ts";
import { testSubject as imaginedSubject } from "../policy/test-lineage.ts";
import type { EventRecord, RecordDraft } from "../report/event-record.ts";
import { networkFields } from "../report/network-fields.ts";
import { records } from "../report/records.ts";
import { recordUids, timestamp } from "../report/stamp.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import { isTrustedFile } from "../sensor/trusted-file.ts";
import type { Dependency } from "../vocabulary/dependencies.ts";
import { eventKinds } from "../vocabulary/event-kinds.ts";
import type { OutputName } from "../vocabulary/event-names.ts";
import { parseIpv4, parseIpv6 } from "../vocabulary/ip-address.ts";
import { HIGHEST_PORT } from "../vocabulary/port-ranges.ts";
import { isJudged, judgedRow } from "../vocabulary/variables.ts";
import { readUserNames } from "../warden/user-names.ts";
import { execSubject } from "../warden/verdict-handler.ts";
import { askBaseline } from "./explain-baseline.ts";
import { type ExplainedContent, explainContent } from "./explain-content.ts";
import {
  type Explanation,
  elementLines,
  explanationJson,
  explanationText,
  lineageOf,
} from "./explanation.ts";
import {
  configOption,
  type HostFlags,
  hostBase,
  hostConfig,
  policyOption,
  policyToTry,
  stateDirOption,
} from "./host-settings.ts";
import { CommandError, exitCodes } from "./output.ts";
import { type OutputFormat, outputOption } from "./output-format.ts";
import { askWarden } from "./request-warden.ts";

interface Program {
  readonly executable: string;
  /** Undefined: not known. */
  readonly args: readonly string[] | undefined;
}

/** What the command line asks for: a live process or imagined programs, never both. */
export interface ExplainRequest {
  readonly pid: number | undefined;
  readonly programs: readonly Program[];
  /** A connection that is judged instead of the exec. */
  readonly connection: GivenEvent | undefined;
  readonly output: OutputFormat;
  readonly host: HostFlags;
}

interface ExplainFlags extends HostFlags {
  readonly exe?: readonly Program[];
  readonly connect?: GivenEvent;
  readonly output: OutputFormat;
}

export function explainCommand(
  onRequest: (request: ExplainRequest) => void | Promise<void> = printExplanations,
): Command {
  const programs: Program[] = [];
  return new ExplainCommand("explain")
    .description("show how label, randomness, tree and verdict of a process or a program come about")
    .usage("PID | --exe PATH... [--args ...] [--policy F] [--output json|pretty]")
    .argument("[pid]", "a live process", readPid)
    .addOption(
      new Option("--exe <path...>", "programs that need not exist, each by itself").argParser(
        (path: string) => {
          programs.push({ executable: readExecutable(path), args: undefined });
          return programs;
        },
      ),
    )
    .addOption(
      new Option(
        `${ARGS} <word...>`,
        "arguments of the --exe before it: the words up to the next of these options, or all that follow --",
      ).argParser((word: string) => {
        const last = programs.pop();
        if (last === undefined) throw new InvalidArgumentError("must follow --exe");
        programs.push({ ...last, args: [...(last.args ?? []), word] });
      }),
    )
    .addOption(
      new Option(
        "--connect <address:port>",
        "judge a TCP connection to it instead of the exec; an IPv6 address in brackets",
      ).argParser(readConnection),
    )
    .addOption(configOption())
    .addOption(policyOption())
    .addOption(stateDirOption())
    .addOption(outputOption())
    .action((pid: number | undefined, flags: ExplainFlags) => onRequest(requestOf(pid, flags)));
}

const ARGS = "--args";

/**
 * An imagined command's arguments may look like options of `explain`. Each of them is given to commander as `--args=WORD`,
 * which it takes as a value whatever the word is.
 */
class ExplainCommand extends Command {
  override parseOptions(words: string[]) {
    return super.parseOptions(this.withMarkedArguments(words));
  }

  private withMarkedArguments(words: readonly string[]): string[] {
    const own = new Set(this.options.map(({ long }) => long));
    const marked: string[] = [];
    let isArgument = false;
    for (const [index, word] of words.entries()) {
      if (word === "--") return [...marked, ...words.slice(index + 1).map(argument)];
      if (own.has(optionOf(word))) isArgument = word === ARGS;
      const next = words[index + 1];
      if (word === ARGS && (next === undefined || own.has(optionOf(next))))
        this.error(`error: option '${ARGS} <word...>' argument missing`);
      if (!isArgument) marked.push(word);
      else if (word !== ARGS) marked.push(argument(word));
    }
    return marked;
  }
}

/** `--output` of `--output=json`. */
function optionOf(word: string): string {
  return word.split("=", 1)[0] ?? "";
}

function argument(word: string): string {
  return `${ARGS}=${word}`;
}

function readPid(word: string): number {
  if (!/^[1-9][0-9]{0,9}$/.test(word)) throw new InvalidArgumentError("must be a process id");
  return Number(word);
}

function readConnection(word: string): GivenEvent {
  const [, bracketed, plain, port = ""] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(word) ?? [];
  const address = bracketed ?? plain ?? "";
  const isAddress = (bracketed === undefined ? parseIpv4(address) : parseIpv6(address)) !== undefined;
  if (!isAddress || Number(port) > HIGHEST_PORT)
    throw new InvalidArgumentError("must be ADDRESS:PORT, such as 203.0.113.7:443 or [2001:db8::1]:443");
  return {
    "event.name": eventKinds.connect.eventName,
    "network.transport": "tcp",
    "network.peer.address": address,
    "network.peer.port": Number(port),
  };
}

function readExecutable(path: string): string {
  if (!/^(?:\/|memfd:)/.test(path)) throw new InvalidArgumentError("must be an absolute path, or memfd:NAME");
  return path;
}

function requestOf(pid: number | undefined, flags: ExplainFlags): ExplainRequest {
  const { exe = [], connect, output, config, policy, stateDir } = flags;
  if ((pid === undefined) === (exe.length === 0))
    throw new CommandError(
      exitCodes.usage,
      "give a process id or --exe, one of them",
      "treewarden explain PID, or treewarden explain --exe /usr/bin/python3 --args /tmp/x.py",
    );
  return {
    pid,
    programs: exe.map(({ executable, args }) => ({ executable, args: args && withName(executable, args) })),
    connection: connect,
    output,
    host: { config, policy, stateDir },
  };
}

/** Arguments begin with the program's own name, which people leave out. */
function withName(executable: string, args: readonly string[]): readonly string[] {
  const [first] = args;
  return first !== undefined && looksLikeName(executable, first) ? args : [nameOf(executable), ...args];
}

async function printExplanations(request: ExplainRequest): Promise<void> {
  for await (const text of explain(request)) process.stdout.write(text);
}

async function* explain(request: ExplainRequest): AsyncGenerator<string> {
  const config = hostConfig(request.host);
  const { policy } = policyToTry(request.host, config);
  const isPretty = request.output === "pretty";
  const show = (explanation: Explanation): string =>
    isPretty ? explanationText(explanation) : explanationJson(explanation);
  const { connection } = request;
  const host: Host = { policy, connection, database: openPackages(), base: hostBase(config) };
  if (request.pid !== undefined) {
    const explained = explainProcess(request.pid, config.state_directory, host);
    yield show({ ...explained, closed: await closedTexts(request.pid, config.state_directory) });
  }
  for (const { executable, args } of request.programs) yield show(explainProgram(executable, args, host));
}

/** What the running warden has the kernel do with what the process executes; only root may ask. */
async function closedTexts(pid: number, stateDirectory: string): Promise<readonly string[]> {
  if (process.geteuid?.() !== ROOT_UID) return [];
  const answer = await askWarden(stateDirectory, { kind: "closed", pid });
  return answer?.notes ?? [];
}

/** What holds on this host. */
interface Host {
  readonly policy: Policy;
  /** What the process does on the network; undefined: its exec is judged. */
  readonly connection: GivenEvent | undefined;
  readonly database: PackageDatabase | undefined;
  readonly base: BaseSystem;
}

/** As the examiner finds it, at once: a command may wait for a file. */
function examinedAt(path: string, database: PackageDatabase | undefined): ExaminedFile | undefined {
  if (!path.startsWith("/")) return undefined;
  const file = statSync(path, { throwIfNoEntry: false });
  return file && examine({ path, device: file.dev, inode: file.ino }, database);
}

const stamp = recordUids(crypto.getRandomValues(new Uint8Array(5)));

function explainProcess(pid: number, stateDirectory: string, host: Host): Explanation {
  const { found, time } = takeSnapshot(stateDirectory, host.base);
  const entry = found.find(({ process }) => process.pid === pid);
  if (entry === undefined) throw new CommandError(exitCodes.no, `no process ${pid}`);
  const { process: of, facts } = entry;
  const inputs = {
    bootTimeMs: bootTimeMs(),
    userName: readUserNames(),
    examined: ({ executable: path, device, inode }: ProcessFacts): ExaminedFile | undefined =>
      path === undefined || device === undefined || inode === undefined
        ? undefined
        : examine({ path, device, inode }, host.database),
  };
  const tree = treeOf(of.lineage);
  const exec = { process: of, facts, tree, source: "procfs", time, event: undefined } as const;
  const second = Math.floor(realtimeNow() / 1e9);
  const answer = of.kernelThread ? undefined : askBaseline(of.lineage, facts, stateDirectory, second);
  const subject = execSubject(exec, wallClockOffset(), inputs, answer?.knowledge);
  const content = answer && explainContent(subject, answer.knowledge, host);
  subject.changed = content?.changed;
  const steps: string[] = [];
  let identified: Identification | undefined;
  if (of.kernelThread) steps.push("a kernel thread: all of them are kthreadd");
  else if (!of.execed) steps.push("a copy of its parent: it has run no exec of its own that was seen");
  if (!of.kernelThread) identified = identification(facts, (text) => steps.push(text), host.base);
  const record = records.exec(subject, "process.exec", stamp);
  return judged(steps, identified, subject, host, record, answer?.why, content);
}

/**
 * What the command line and the examiner say about a program that need not exist. A variable that depends on anything
 * else has the value of a policy test here, which is for rules and not for the eye.
 */
const stated: ReadonlySet<Dependency> = new Set<Dependency>([
  "arguments",
  "directory",
  "lineage",
  "links",
  "examiner",
]);

/** For a name of a record: its value is stated, and so may be shown. */
export function isStated(name: string): boolean {
  return isJudged(name) && judgedRow(name).dependsOn.every((dependency) => stated.has(dependency));
}

function explainProgram(executable: string, args: readonly string[] | undefined, host: Host): Explanation {
  const cwd = process.cwd();
  const isMemory = executable.startsWith("memfd:");
  const facts: RunnableFacts = {
    executable,
    executableMemfd: isMemory,
    filename: undefined,
    script: undefined,
    args,
    cwd,
    executableTrusted: isTrustedAt(executable),
  };
  const steps: string[] = [];
  if (!isMemory && !existsSync(executable))
    steps.push(`no such file here: ${executable} is explained by its name alone`);
  const identified = identification(facts, (text) => steps.push(text), host.base);
  const alone = imaginedSubject({
    lineage: [
      {
        "process.executable.path": executable,
        "process.executable.memfd": isMemory,
        "process.working_directory": cwd,
        ...(args === undefined ? {} : { "process.command_args": [...args] }),
      },
    ],
  });
  // A test's lineage knows the embedded list, this host its own.
  const { runnable } = identified;
  const [lineage, tree] = aloneAs(runnable);
  const subject: ExecSubject = {
    ...alone,
    runnable,
    lineage,
    tree,
    examined: examinedAt(executable, host.database),
  };
  const whole = records.exec(subject, "process.exec", stamp);
  const record = Object.fromEntries(Object.entries(whole).filter(([name]) => isStated(name)));
  return judged(steps, identified, subject, host, record);
}

/** undefined: there is no such file here, so its owner is not known. */
function isTrustedAt(path: string): boolean | undefined {
  if (!existsSync(path)) return undefined;
  const { uid, mode } = statSync(path);
  return isTrustedFile(uid, mode);
}

function aloneAs(program: Runnable): [Lineage, Tree] {
  const lineages = new Lineages();
  const lineage = lineages.intern(null, {
    program,
    earlier: [],
    uid: undefined,
    container: null,
    complete: true,
    init: false,
    elided: null,
  });
  lineages.retain(lineage);
  return [lineage, treeOf(lineage)];
}

function judged(
  steps: readonly string[],
  identified: Identification | undefined,
  exec: ExecSubject,
  { policy, connection }: Host,
  known: EventRecord,
  baseline?: string,
  content?: ExplainedContent,
): Explanation {
  const subject = connection === undefined ? exec : givenNetworkSubject(exec, connection);
  const decision = decide(policy, subject);
  const denial =
    subject.kind !== "exec" && decision.action === "deny"
      ? denialText(whyNotCompiled(policy, subject.kind, decision.rule))
      : undefined;
  const now = realtimeNow();
  const record: RecordDraft = {
    ...known,
    timestamp: timestamp(now),
    ...(subject.kind === "exec" ? {} : { ...networkFields(subject.network), "event.kind": subject.kind }),
    "event.name": "process.explain" satisfies OutputName,
    "log.record.uid": stamp(now),
    "explain.label": subject.runnable.label,
    "explain.name": subject.runnable.name,
    "explain.lineage": lineageOf(subject.lineage).map(({ program }) => program.label),
    "explain.steps": steps.map(printable),
  };
  if (identified !== undefined) {
    record["explain.base"] = identified.base.why;
    record["explain.elements"] = elementLines(identified).map(printable);
    if (identified.runnable.folded !== undefined)
      record["explain.folded"] = printable(identified.runnable.folded);
  }
  if (baseline !== undefined) record["explain.baseline"] = printable(baseline);
  if (content !== undefined) record["explain.content"] = content.why;
  record["policy.action"] = decision.action;
  record["security_rule.name"] = decision.rule;
  record["security_rule.ruleset.name"] = decision.ruleset;
  record["policy.matched_rules"] = decision.matched;
  record["policy.undecided_rules"] = decision.undecided;
  if (denial !== undefined) record["explain.denial"] = denial;
  return { steps, identified, subject, decision, baseline, content: content?.why, denial, record };
}

/** `why`: the kernel cannot decide the rule. */
function denialText(why: string | undefined): string {
  return why === undefined
    ? "where the rule is armed, the kernel refuses the call, and nothing is sent"
    : `judged only after it was done: ${why}`;
}
