// What a reported verdict says of the ancestors of its process: who started whom, when, as whom, with which arguments.
// It is gathered for records that are reported, never for an exec that is not, and after the verdict was carried out.
import { payersOf } from "../enforcement/offender.ts";
import { type Ancestor, type AncestorSources, ancestorsOf, isSameState } from "../forest/ancestors.ts";
import type { Forest } from "../forest/forest.ts";
import type { Lineage } from "../forest/lineage.ts";
import type { Process } from "../forest/process.ts";
import { unambiguous } from "../linux/text.ts";
import { boundedArguments, boundedText } from "../report/bounded-arguments.ts";
import type { EventRecord, RecordDraft } from "../report/event-record.ts";
import type { ProcessFacts } from "../sensor/event.ts";
import type { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { creationTime, type ProcessKey, startsAt } from "../vocabulary/process-key.ts";
import { type Payer, Shares } from "../vocabulary/shares.ts";
import type { RecentExecs } from "./recent-execs.ts";

/** The most ancestors that a record describes, from the process upwards: a lineage of a server has 3 to 8. */
const ANCESTORS = 16;
/** The path and the arguments of each, in characters: a record with 16 ancestors then stays below 20 KB. */
const PATH_CHARACTERS = 256;
const ARGUMENT_CHARACTERS = 256;
/**
 * The most processes a second that are read in /proc, some 50 us each, so that a flood of different verdicts costs at most
 * 1 % of a CPU. Of further ones the record says what the warden remembers.
 */
const READS_PER_SECOND = 200;
/** Of one user other than root, so that nobody keeps the ancestors of other users' programs from being described. */
const READS_OF_USER = READS_PER_SECOND / 2;
const SECOND_NS = 1e9;

export interface AncestorInputs {
  readonly forest: Pick<Forest, "find" | "liveAncestors">;
  readonly reader: Pick<FactsReader, "invocation">;
  readonly recent: Pick<RecentExecs, "find">;
  /** Milliseconds since the epoch at which start ticks are 0. */
  readonly bootTimeMs: number;
  readonly userName: (uid: number) => string | undefined;
  /** ns, CLOCK_MONOTONIC. */
  readonly now: () => number;
}

export class AncestorRecords {
  private readonly inputs: AncestorInputs;
  /** Begin of the current second. */
  private second = Number.NEGATIVE_INFINITY;
  private readonly reads = new Shares(READS_PER_SECOND, READS_OF_USER);

  constructor(inputs: AncestorInputs) {
    this.inputs = inputs;
  }

  /** The fields of a record that describe the ancestors of a process; none if it has ended. */
  of(key: ProcessKey): EventRecord {
    const { forest, recent } = this.inputs;
    const process = forest.find(key);
    if (process === undefined || process.ancestry === null) return {};
    const sources: AncestorSources = {
      live: forest.liveAncestors(process),
      ended: (pid) => recent.find((exec) => exec.process.pid === pid)?.process,
    };
    const ancestors = ancestorsOf(process, sources, ANCESTORS);
    const payers = payersOf(process.lineage, undefined);
    return {
      "process.ancestor_pids": ancestors.flatMap(({ pid }) => (pid === undefined ? [] : [pid])),
      "process.ancestors": ancestors.map((ancestor) => JSON.stringify(this.describe(ancestor, payers))),
    };
  }

  private mayRead(payers: readonly Payer[]): boolean {
    const now = this.inputs.now();
    if (now - this.second >= SECOND_NS) {
      this.second = now;
      this.reads.clear();
    }
    return this.reads.take(payers);
  }

  private describe({ lineage, pid, process, hasEnded }: Ancestor, payers: readonly Payer[]): EventRecord {
    const { bootTimeMs, userName } = this.inputs;
    const record: RecordDraft = {};
    if (pid !== undefined) record["process.pid"] = pid;
    const { program, uid } = lineage;
    if (uid !== undefined) record["process.user.id"] = uid;
    const user = uid === undefined ? undefined : userName(uid);
    if (user !== undefined) record["process.user.name"] = unambiguous(user);
    if (program.path !== undefined) record["process.runnable.path"] = shownPath(program.path);
    if (program.executable !== undefined && program.executable !== program.path)
      record["process.executable.path"] = shownPath(program.executable);
    if (process === undefined) return record;
    const start = this.startOf(process, lineage, hasEnded, payers);
    const { args, tty, loginUid } = start;
    if (args !== undefined && args.length > 0)
      record["process.command_args"] = boundedArguments(args, ARGUMENT_CHARACTERS).map(unambiguous);
    if (tty !== undefined) record["process.tty"] = tty;
    if (loginUid !== undefined) record["process.login_user.id"] = loginUid;
    const created = creationTime(start.key, bootTimeMs);
    if (created !== undefined) record["process.creation.time"] = created;
    return record;
  }

  /** How it was started when it was `lineage`: as the event had it, or else as /proc has it now. */
  private startOf(process: Process, lineage: Lineage, hasEnded: boolean, payers: readonly Payer[]): Start {
    const exec = this.inputs.recent.find(
      (each) =>
        each.process === process && (each.tree === lineage.tree || isSameState(process.lineage, lineage)),
    );
    if (exec !== undefined) {
      const { args, tty, loginUid } = exec;
      return { key: process, args, tty, loginUid };
    }
    const now = !hasEnded && this.mayRead(payers) ? this.inputs.reader.invocation(process.pid) : undefined;
    if (now?.startTicks === undefined || !startsAt(process, now.startTicks))
      return { key: process, args: undefined, tty: undefined, loginUid: undefined };
    // The arguments of another program than that which forked the next process would mislead.
    const args = isSameState(process.lineage, lineage) ? now.args : undefined;
    const key = { pid: process.pid, startTicks: now.startTicks, startExact: true };
    return { key, args, tty: now.tty, loginUid: now.loginUid };
  }
}

interface Start extends Pick<ProcessFacts, "args" | "tty" | "loginUid"> {
  /** With the start that is best known. */
  readonly key: ProcessKey;
}

function shownPath(path: string): string {
  return unambiguous(boundedText(path, PATH_CHARACTERS));
}
