// Events taken from the kernel and not told yet, in its order. An exec gets its facts from the look at /proc that was
// taken when the bell rang; what follows in the queue tells whether that look was at the right program. Pure, but for
// what it asks through its inputs.
import type { ProcessEvent, ProcessFacts, SensorSource } from "../event.ts";
import { type FactsReader, factsFrom, factsOf, type Known, nothing } from "../procfs/facts-reader.ts";
import type { Look } from "./glances.ts";
import type { Groups } from "./groups.ts";
import { Siblings } from "./siblings.ts";

interface WaitingExec {
  readonly kind: "waiting";
  readonly pid: number;
  readonly time: number;
  readonly known: Known;
  readonly look: Look | undefined;
}

export interface Looks {
  of(pid: number, time: number): Look | undefined;
}

export type LateReader = Pick<FactsReader, "read" | "place">;

export class Queue {
  private readonly source: SensorSource;
  private readonly groups: Groups;
  private readonly looks: Looks;
  private readonly reader: LateReader;
  private readonly siblings = new Siblings();
  private readonly waiting: (ProcessEvent | WaitingExec)[] = [];
  private readonly facts: (ProcessFacts | undefined)[] = [];
  /** Processes that came to run something else later in the queue, and when; those that ended: never. */
  private readonly over = new Map<number, number>();

  constructor(source: SensorSource, groups: Groups, looks: Looks, reader: LateReader) {
    this.source = source;
    this.groups = groups;
    this.looks = looks;
    this.reader = reader;
  }

  add(event: ProcessEvent): void {
    this.waiting.push(event);
  }

  addExec(pid: number, time: number, ticks: number): void {
    const look = this.looks.of(pid, time);
    const known = this.groups.known(pid, ticks) ?? nothing;
    this.waiting.push({ kind: "waiting", pid, time, known, look });
  }

  /**
   * Finds the facts of every exec that waits, the latest first: where there is no look, or it was too short, the
   * earlier ones are the likelier to be gone.
   */
  complete(): void {
    this.over.clear();
    for (let i = this.waiting.length - 1; i >= 0; i -= 1) {
      const event = this.waiting[i];
      if (event === undefined || event.kind === "loss" || event.kind === "user") continue;
      if (event.kind === "waiting") {
        this.facts[i] = this.factsOf(event);
        this.over.set(event.pid, event.time);
      } else this.over.set(event.pid, Number.POSITIVE_INFINITY);
    }
  }

  /** Hands over everything. */
  tell(sink: (event: ProcessEvent) => void): void {
    const { waiting, facts, source } = this;
    for (let i = 0; i < waiting.length; i += 1) {
      const event = waiting[i];
      if (event === undefined) continue;
      if (event.kind !== "waiting") sink(event);
      else {
        const { time, pid, known } = event;
        sink({ kind: "exec", source, time, pid, facts: facts[i] ?? factsOf(known) });
      }
    }
    waiting.length = 0;
    facts.length = 0;
  }

  private factsOf(exec: WaitingExec): ProcessFacts {
    const { pid, known } = exec;
    const over = this.over.get(pid);
    const facts = this.factsBefore(exec, over);
    if (over === undefined && known.uid === undefined) this.groups.usersFound(pid, facts.uid, facts.realUid);
    return facts;
  }

  /** `over`: when it came to run something else; undefined if nothing is known of that. */
  private factsBefore({ pid, time, known, look }: WaitingExec, over: number | undefined): ProcessFacts {
    if (look === undefined) return over === undefined ? this.reader.read(pid, known) : factsOf(known);
    const { glance, end } = look;
    if (glance === undefined || glance.empty || (over !== undefined && end > over)) return factsOf(known);
    const { parentPid, seenTicks } = known;
    const noUser = known.realUid === undefined;
    let found = look.place;
    if (over === undefined && (found === undefined || noUser))
      found = this.reader.place(pid, seenTicks, noUser) ?? found;
    if (found === undefined) {
      const place = parentPid === undefined ? undefined : this.siblings.expected(parentPid, time);
      return factsFrom(glance, undefined, place, known);
    }
    if (parentPid !== undefined) this.siblings.found(parentPid, found, time);
    return factsFrom(glance, found, found, known);
  }
}
