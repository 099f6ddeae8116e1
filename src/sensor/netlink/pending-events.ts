// Events that the sensor has received and not emitted yet, in the kernel's order. The facts of an exec are read from
// /proc as soon as its event arrives. An exec of the same process that happened before that read was over may have
// replaced the program meanwhile: then the facts that were read are dropped, because they may be of the wrong program.
import type { ProcessEvent, ProcessFacts } from "../event.ts";
import { factsFromEvents, type KnownFacts } from "../procfs/facts-reader.ts";

export interface PendingEventsInputs {
  /** Reads what `pid` runs now; `time`: that of its exec, ns, CLOCK_MONOTONIC. */
  readonly read: (pid: number, known: KnownFacts, time: number) => ProcessFacts;
  /** Nanoseconds, CLOCK_MONOTONIC. */
  readonly now: () => number;
}

interface PendingExec {
  readonly kind: "pending exec";
  readonly pid: number;
  readonly time: number;
  readonly known: KnownFacts;
  /** Undefined: not read yet. */
  facts: ProcessFacts | undefined;
  /** When reading was over. */
  readAt: number;
}

const source = "netlink";

export class PendingEvents {
  private readonly inputs: PendingEventsInputs;
  private readonly events: (ProcessEvent | PendingExec)[] = [];
  private first = 0;
  private readonly unread: PendingExec[] = [];
  /** The last exec of each process, as long as it is pending. */
  private readonly latest = new Map<number, PendingExec>();

  constructor(inputs: PendingEventsInputs) {
    this.inputs = inputs;
  }

  get length(): number {
    return this.events.length - this.first;
  }

  /** Any event but an exec. */
  add(event: ProcessEvent): void {
    if (event.kind === "exit") this.replaced(event.pid, Number.POSITIVE_INFINITY);
    this.events.push(event);
  }

  addExec(pid: number, time: number, known: KnownFacts): void {
    this.replaced(pid, time);
    const exec: PendingExec = { kind: "pending exec", pid, time, known, facts: undefined, readAt: time };
    this.events.push(exec);
    this.unread.push(exec);
    this.latest.set(pid, exec);
  }

  /** Reads the facts of the execs that came since the last call. The latest ones first: they are likelier to run still. */
  read(): void {
    for (let exec = this.unread.pop(); exec !== undefined; exec = this.unread.pop()) {
      if (exec.facts !== undefined) continue;
      exec.facts = this.inputs.read(exec.pid, exec.known, exec.time);
      exec.readAt = this.inputs.now();
    }
  }

  /** Emits the oldest event. */
  emit(sink: (event: ProcessEvent) => void): void {
    const event = this.events[this.first];
    if (event === undefined) return;
    this.first += 1;
    if (this.first === this.events.length) {
      this.events.length = 0;
      this.first = 0;
    }
    if (event.kind !== "pending exec") sink(event);
    else {
      const { pid, time, known, facts } = event;
      if (this.latest.get(pid) === event) this.latest.delete(pid);
      sink({ kind: "exec", source, time, pid, facts: facts ?? factsFromEvents(known) });
    }
  }

  /** `pid` ceased at `time` to run what its last exec began; infinity: it ended, and what was read is its own. */
  private replaced(pid: number, time: number): void {
    const exec = this.latest.get(pid);
    if (exec === undefined) return;
    if (exec.facts === undefined || exec.readAt > time) exec.facts = factsFromEvents(exec.known);
    this.latest.delete(pid);
  }
}
