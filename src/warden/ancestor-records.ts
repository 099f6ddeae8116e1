// What a reported verdict says of the ancestors of its process: who started whom, when, as whom, with which arguments.
// It is gathered for records that are reported, never for an exec that is not, and after the verdict was carried out.
import { type Ancestor, ancestorsOf } from "../forest/ancestors.ts";
import type { Forest } from "../forest/forest.ts";
import { unambiguous } from "../linux/text.ts";
import { boundedArguments, boundedText } from "../report/bounded-arguments.ts";
import type { EventRecord, RecordDraft } from "../report/event-record.ts";
import type { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { creationTime, type ProcessKey, startsAt } from "../vocabulary/process-key.ts";

/** The most ancestors that a record describes, from the process upwards: a lineage of a server has 3 to 8. */
const ANCESTORS = 16;
/** The path and the arguments of each, in characters: a record with 16 ancestors then stays below 20 KB. */
const PATH_CHARACTERS = 256;
const ARGUMENT_CHARACTERS = 256;
/**
 * The most records a second for which /proc is read, so that a flood of different verdicts costs at most some 1 % of a
 * CPU. Of further ones the record says what the forest knows.
 */
const READS_PER_SECOND = 50;
const SECOND_NS = 1e9;

export interface AncestorInputs {
  readonly forest: Pick<Forest, "find" | "liveAncestors">;
  readonly reader: Pick<FactsReader, "invocation">;
  /** Milliseconds since the epoch at which start ticks are 0. */
  readonly bootTimeMs: number;
  readonly userName: (uid: number) => string | undefined;
  /** ns, CLOCK_MONOTONIC. */
  readonly now: () => number;
}

export class AncestorRecords {
  private readonly inputs: AncestorInputs;
  /** Begin of the current second, and the records for which /proc was read in it. */
  private second = Number.NEGATIVE_INFINITY;
  private reads = 0;

  constructor(inputs: AncestorInputs) {
    this.inputs = inputs;
  }

  /** The fields of a record that describe the ancestors of a process; none if it has ended. */
  of(key: ProcessKey): EventRecord {
    const { forest } = this.inputs;
    const process = forest.find(key);
    if (process === undefined || process.ancestry === null) return {};
    const ancestors = ancestorsOf(process, forest.liveAncestors(process), ANCESTORS);
    const mayRead = this.mayRead();
    return {
      "process.ancestor_pids": ancestors.flatMap(({ pid }) => (pid === undefined ? [] : [pid])),
      "process.ancestors": ancestors.map((ancestor) => JSON.stringify(this.describe(ancestor, mayRead))),
    };
  }

  private mayRead(): boolean {
    const now = this.inputs.now();
    if (now - this.second >= SECOND_NS) {
      this.second = now;
      this.reads = 0;
    }
    this.reads += 1;
    return this.reads <= READS_PER_SECOND;
  }

  private describe({ lineage, pid, process, isCurrent }: Ancestor, mayRead: boolean): EventRecord {
    const record: RecordDraft = {};
    if (pid !== undefined) record["process.pid"] = pid;
    const { program, uid } = lineage;
    if (uid !== undefined) record["process.user.id"] = uid;
    const user = uid === undefined ? undefined : this.inputs.userName(uid);
    if (user !== undefined) record["process.user.name"] = unambiguous(user);
    if (program.path !== undefined) record["process.runnable.path"] = shownPath(program.path);
    if (program.executable !== undefined && program.executable !== program.path)
      record["process.executable.path"] = shownPath(program.executable);
    if (process === undefined) return record;
    const key = mayRead ? this.addInvocation(record, process, isCurrent) : process;
    const created = creationTime(key, this.inputs.bootTimeMs);
    if (created !== undefined) record["process.creation.time"] = created;
    return record;
  }

  /**
   * Adds what only /proc has, and returns the process with the start that is there. The arguments are those of the
   * program that it runs now, so they are left out if that is another one.
   */
  private addInvocation(record: RecordDraft, process: ProcessKey, isCurrent: boolean): ProcessKey {
    const { startTicks, args, tty, loginUid } = this.inputs.reader.invocation(process.pid);
    if (startTicks === undefined || !startsAt(process, startTicks)) return process;
    if (isCurrent && args !== undefined && args.length > 0)
      record["process.command_args"] = boundedArguments(args, ARGUMENT_CHARACTERS).map(unambiguous);
    if (tty !== undefined) record["process.tty"] = tty;
    if (loginUid !== undefined) record["process.login_user.id"] = loginUid;
    return { pid: process.pid, startTicks, startExact: true };
  }
}

function shownPath(path: string): string {
  return unambiguous(boundedText(path, PATH_CHARACTERS));
}
