// Records into events. A record is written when its process ends, so children come before their parents; told in
// that order, no tree would have a parent. What came together is told in the order in which it happened.
import { terminalName } from "../../linux/proc/terminal.ts";
import { bootTicks } from "../../linux/ticks.ts";
import type { ProcessEvent } from "../event.ts";
import { factsFromEvents } from "../procfs/facts-reader.ts";
import { withComm } from "./accounted-facts.ts";
import type { AcctRecord } from "./accounting-record.ts";

const source = "acct";
const NS = 1e9;
/** How much later than a child a parent may seem to have started: `btime` is in whole seconds and may be one late. */
const START_SLACK_NS = 1e9;

export interface Clocks {
  /** CLOCK_REALTIME - CLOCK_MONOTONIC, ns. */
  readonly wallOffset: number;
  /** CLOCK_BOOTTIME - CLOCK_MONOTONIC, ns. */
  readonly suspended: number;
}

interface Life {
  readonly record: AcctRecord;
  start: number;
  end: number;
  /** Place in the file: processes end in this order. */
  readonly index: number;
  parent: Life | undefined;
  /** Ancestors among the records; undefined until it has its place. */
  depth: number | undefined;
}

/** Fork, exec and exit of every record, by time. `records`: in the file's order. */
export function storyOf(records: readonly AcctRecord[], clocks: Clocks): ProcessEvent[] {
  const lives = records.map((record, index) => lifeOf(record, index, clocks));
  const byPid = new Map<number, Life[]>();
  for (const life of lives) {
    const same = byPid.get(life.record.pid);
    if (same === undefined) byPid.set(life.record.pid, [life]);
    else same.push(life);
  }
  for (const life of lives) life.parent = parentOf(life, byPid);
  for (const life of lives) place(life);
  const moments = lives.flatMap((life) => [
    { time: life.start, order: life.depth ?? 0, life, ended: false },
    { time: life.end, order: life.index, life, ended: true },
  ]);
  // At one instant, what ends comes last, in the file's order, and parents start before children.
  moments.sort((a, b) => a.time - b.time || Number(a.ended) - Number(b.ended) || a.order - b.order);
  return moments.flatMap(({ life, ended }) => (ended ? [ending(life)] : beginning(life, clocks)));
}

function lifeOf(record: AcctRecord, index: number, { wallOffset }: Clocks): Life {
  const start = Math.round(record.btime * NS - wallOffset);
  const end = start + Math.round(record.seconds * NS);
  return { record, start, end, index, parent: undefined, depth: undefined };
}

/**
 * A parent that its child did not outlive ended after it: it is the next one in the file with that pid, unless it
 * started too late. `byPid`: in the file's order.
 */
function parentOf(life: Life, byPid: ReadonlyMap<number, readonly Life[]>): Life | undefined {
  const same = byPid.get(life.record.ppid) ?? [];
  let low = 0;
  for (let high = same.length; low < high; ) {
    const middle = (low + high) >> 1;
    if ((same[middle]?.index ?? 0) > life.index) high = middle;
    else low = middle + 1;
  }
  const next = same[low];
  return next !== undefined && next.start <= life.start + START_SLACK_NS ? next : undefined;
}

/** Nobody starts before its parent, or after its end. Parents come later in the file, so that there is no circle. */
function place(life: Life): void {
  const line: Life[] = [];
  for (let one: Life | undefined = life; one !== undefined && one.depth === undefined; one = one.parent)
    line.push(one);
  for (const one of line.reverse()) {
    const { parent } = one;
    one.depth = parent?.depth === undefined ? 0 : parent.depth + 1;
    if (parent !== undefined) one.start = Math.max(parent.start, Math.min(one.start, parent.end));
    one.end = Math.max(one.start, one.end);
  }
}

function beginning(life: Life, { suspended }: Clocks): ProcessEvent[] {
  const { record, start } = life;
  const { pid, ppid } = record;
  const startTicks = bootTicks(start + suspended);
  const fork: ProcessEvent = {
    kind: "fork",
    source,
    time: start,
    pid,
    parentPid: ppid,
    startTicks,
    startExact: false,
  };
  if (record.forkedOnly) return [fork];
  const known = {
    startTicks: undefined,
    seenTicks: undefined,
    parentPid: ppid,
    uid: undefined,
    realUid: record.realUid,
  };
  const facts = withComm(
    { ...factsFromEvents(known), tty: terminalName(newDevice(record.tty)) },
    record.comm,
  );
  return [fork, { kind: "exec", source, time: start, pid, facts }];
}

function ending({ record, end }: Life): ProcessEvent {
  return { kind: "exit", source, time: end, pid: record.pid, status: record.status };
}

/**
 * old_encode_dev into new_encode_dev (linux/kdev_t.h). A pseudo-terminal's minor runs over into its major, 136, whose
 * lower three bits are clear.
 */
function newDevice(tty: number): number {
  const major = tty >> 8;
  const minor = tty & 0xff;
  if ((major & ~7) !== 136) return tty;
  return (136 << 8) | minor | ((major & 7) << 20);
}
