// Takes evidence of a process before it is killed: the tree stands still, the examiner reads what the warden has opened, and
// at its answer, or when the time is over, the tree dies.
import type { EvidenceTaker, ProcessKiller } from "../enforcement/kill.ts";
import type { StoppedTree, StoppedTrees } from "../enforcement/stopped-trees.ts";
import type { EvidenceFacts, EvidenceFile } from "../examiner/protocol.ts";
import { evidenceLimits } from "../examiner/protocol.ts";
import type { Process } from "../forest/process.ts";
import { closeDescriptor } from "../linux/descriptor.ts";
import { DescriptorLinks, WHOLE_LINK_BYTES } from "../linux/proc/descriptor-links.ts";
import { openExecutable } from "../linux/proc/process-file.ts";
import { ProcessFolder, procEntry } from "../linux/proc/read.ts";
import { parseSocketLink } from "../linux/proc/socket-table.ts";
import { unambiguous } from "../linux/text.ts";
import type { EventRecord } from "../report/event-record.ts";
import type { Counter } from "../report/totals.ts";
import type { ChangeName } from "../vocabulary/event-names.ts";
import { creationTime } from "../vocabulary/process-key.ts";
import type { Payer } from "../vocabulary/shares.ts";
import type { EmptyCopy, EvidenceCopies } from "./evidence-copies.ts";

const DAY_NS = 86_400e9;
/** Directories of links that are read: some 160 descriptors, half a millisecond. */
const LINK_CHUNKS = 2;

/** Files of /proc/PID that the examiner reads, besides the executable. */
const entries: readonly (readonly [EvidenceFile, Uint8Array])[] = [
  ["environ", procEntry.environ],
  ["maps", procEntry.maps],
  ["tcp", procEntry.tcp],
  ["tcp6", procEntry.tcp6],
  ["udp", procEntry.udp],
  ["udp6", procEntry.udp6],
];

export interface EvidenceInputs {
  /** How long a tree stands still for its evidence, ns. */
  readonly timeLimitNs: number;
  /** Bytes of evidence in 24 hours; of one user other than root, or one container, half of them. */
  readonly bytesPerDay: number;
  /** Start ticks of the process that has a pid now; undefined if there is none. */
  readonly startTicks: (pid: number) => number | undefined;
  /** As `FactsReader` has it. */
  readonly mayFollowLinks: (pid: number) => boolean;
  readonly killer: () => Pick<ProcessKiller, "killStopped">;
  readonly stopped: Pick<StoppedTrees, typeof Symbol.iterator>;
  /** Asks the examiner; false if it cannot be asked now. */
  readonly ask: (
    id: number,
    files: ReadonlyMap<EvidenceFile, number>,
    sockets: readonly number[],
    copyBytes: number,
  ) => boolean;
  /** Absent: executables are not copied. */
  readonly copies: Pick<EvidenceCopies, "take" | "keep" | "discard" | "end" | "bytesOfFile"> | undefined;
  readonly bootTimeMs: number;
  readonly recordChange: (event: ChangeName, details: EventRecord) => void;
  /** Kills without evidence, because so much was taken today. */
  readonly refused: Counter;
  /** ns, CLOCK_MONOTONIC */
  readonly now: () => number;
  /** The ids of questions are greater than this: answers to an earlier warden may still arrive. */
  readonly idsAfter: number;
}

interface Waiting {
  readonly tree: StoppedTree;
  /** The file that the executable is being copied to. */
  readonly copy: EmptyCopy | undefined;
  readonly fields: EventRecord;
  /** ns, CLOCK_MONOTONIC */
  readonly until: number;
}

export class Evidence implements EvidenceTaker {
  private readonly inputs: EvidenceInputs;
  private readonly folder = new ProcessFolder(1);
  /** By the id of the question; the oldest first. */
  private readonly waiting = new Map<number, Waiting>();
  private latestId: number;
  /** Bytes that were taken in this day, of all and of each payer. */
  private taken = 0;
  private readonly takenOf = new Map<Payer, number>();
  private dayBegan: number;

  constructor(inputs: EvidenceInputs) {
    this.inputs = inputs;
    this.latestId = inputs.idsAfter;
    this.dayBegan = inputs.now();
  }

  mayTake(payers: readonly Payer[]): boolean {
    const { bytesPerDay, now: clock } = this.inputs;
    const now = clock();
    if (now - this.dayBegan >= DAY_NS) {
      this.dayBegan = now;
      this.taken = 0;
      this.takenOf.clear();
    }
    const isPayerBelow = payers.every((payer) => (this.takenOf.get(payer) ?? 0) < bytesPerDay / 2);
    if (isPayerBelow && this.taken < bytesPerDay) return true;
    this.inputs.refused.add(1);
    return false;
  }

  /** Begins to take evidence of a process that stands still, whose tree dies after that. */
  take(process: Process, tree: StoppedTree): void {
    const { timeLimitNs, ask, bootTimeMs, now, startTicks, copies } = this.inputs;
    const isReadable = this.inputs.mayFollowLinks(process.pid);
    const { openFiles, sockets } = isReadable ? linksOf(process.pid) : { openFiles: [], sockets: [] };
    const files = isReadable ? this.open(process.pid) : new Map<EvidenceFile, number>();
    // Its user may have killed it meanwhile, and another process have its pid.
    const isStillIt = isReadable && startTicks(process.pid) === process.startTicks;
    const created = creationTime(process, bootTimeMs);
    const fields = {
      "process.pid": process.pid,
      ...(created === undefined ? {} : { "process.creation.time": created }),
      "stop.rule": tree.rule,
      "stop.processes": tree.members.size,
      "evidence.open_files": isStillIt ? openFiles : [],
    };
    this.latestId += 1;
    const id = this.latestId;
    const copy = isStillIt && files.has("executable") ? copies?.take(tree.payers) : undefined;
    this.waiting.set(id, { tree, copy, fields, until: now() + timeLimitNs });
    try {
      const asked = copy === undefined ? files : new Map([...files, ["copy", copy.file.fd] as const]);
      if (!isStillIt || !ask(id, asked, sockets, copies?.bytesOfFile ?? 0)) this.finish(id, undefined);
    } finally {
      for (const fd of files.values()) closeDescriptor(fd);
    }
  }

  /** Takes the examiner's answer; one that nobody waits for any more is ignored. */
  answered(id: number, facts: EvidenceFacts): void {
    this.finish(id, facts);
  }

  /** Nanoseconds until `expire` has something to do; undefined if nothing waits. */
  dueIn(now: number): number | undefined {
    if (this.waiting.size === 0) return undefined;
    const [oldest] = this.waiting.values();
    return oldest === undefined ? undefined : Math.max(0, oldest.until - now);
  }

  /** Kills what has stood still for long enough. */
  expire(now: number): void {
    if (this.waiting.size === 0) return;
    for (const [id, { until }] of this.waiting) {
      if (until > now) return;
      this.finish(id, undefined);
    }
  }

  /** Kills all that stands still only until it is killed: the warden ends, or an earlier one has ended before it could. */
  endAll(): void {
    for (const id of this.waiting.keys()) this.finish(id, undefined);
    for (const tree of [...this.inputs.stopped]) if (tree.dies) this.inputs.killer().killStopped(tree);
    this.inputs.copies?.end();
  }

  private finish(id: number, facts: EvidenceFacts | undefined): void {
    const waiting = this.waiting.get(id);
    if (waiting === undefined) return;
    this.waiting.delete(id);
    this.inputs.killer().killStopped(waiting.tree);
    const path = this.endCopy(waiting, facts);
    const record = {
      ...waiting.fields,
      ...fieldsOf(facts),
      ...(path === undefined ? {} : { "evidence.executable.copy": path }),
    };
    const bytes = JSON.stringify(record).length;
    this.taken += bytes;
    for (const payer of waiting.tree.payers) this.takenOf.set(payer, (this.takenOf.get(payer) ?? 0) + bytes);
    this.inputs.recordChange("process.evidence", record);
  }

  /** The path of the copy of the executable, if one was made. */
  private endCopy({ copy, tree }: Waiting, facts: EvidenceFacts | undefined): string | undefined {
    const { copies } = this.inputs;
    if (copy === undefined || copies === undefined) return undefined;
    const digest = facts?.isCopied === true ? facts.digest : undefined;
    if (digest !== undefined) return copies.keep(copy, digest, tree.payers);
    copies.discard(copy);
    return undefined;
  }

  /** The files of a process that the examiner may read; those that cannot be opened are left out. */
  private open(pid: number): ReadonlyMap<EvidenceFile, number> {
    const files = new Map<EvidenceFile, number>();
    const executable = openExecutable(pid);
    if (executable !== undefined) files.set("executable", executable.fd);
    if (this.folder.open(pid) < 0) return files;
    for (const [name, entry] of entries) {
      const fd = this.folder.openEntry(entry);
      if (fd >= 0) files.set(name, fd);
    }
    this.folder.close();
    return files;
  }
}

function linksOf(pid: number): {
  readonly openFiles: readonly string[];
  readonly sockets: readonly number[];
} {
  using links = new DescriptorLinks(pid, WHOLE_LINK_BYTES);
  const openFiles = new Map<string, string>();
  const sockets: number[] = [];
  for (let chunk = 0; chunk < LINK_CHUNKS; chunk += 1) {
    for (const link of links.next() ?? []) {
      const socket = parseSocketLink(link);
      if (socket !== undefined) sockets.push(socket);
      else openFiles.set(link, unambiguous(link).slice(0, evidenceLimits.maps.characters));
    }
  }
  return {
    openFiles: [...openFiles.values()].slice(0, evidenceLimits.maps.count),
    sockets: sockets.slice(0, evidenceLimits.sockets.count),
  };
}

function fieldsOf(facts: EvidenceFacts | undefined): EventRecord {
  if (facts === undefined) return { "evidence.complete": false };
  const { digest, size, environmentNames, maps, sockets } = facts;
  return {
    "evidence.complete": true,
    ...(digest === undefined ? {} : { "evidence.executable.digest": digest }),
    ...(size === undefined ? {} : { "evidence.executable.size": size }),
    ...(environmentNames === undefined ? {} : { "evidence.environment_names": environmentNames }),
    ...(maps === undefined ? {} : { "evidence.maps": maps }),
    "evidence.sockets": sockets,
  };
}
