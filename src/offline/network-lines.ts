// Lines about what processes do on the network. What a process is does not change from one connection to the next, so that
// part of a line is made once.
import type { Process } from "../forest/process.ts";
import { type NetworkSubject, subjectOfNetwork } from "../policy/subject.ts";
import type { EventRecord } from "../report/event-record.ts";
import {
  endFields,
  eventFields,
  type OpenedSocket,
  type Opener,
  openerFields,
  processFields,
  type Stamp,
} from "../report/records.ts";
import type { CloseEvent, NetworkEvent } from "../sensor/event.ts";
import { factsOf, type NetworkSubjectInputs, processSubject } from "../warden/network-subject.ts";
import type { NetworkActivity } from "../warden/tracker.ts";

export interface NetworkLinesOptions extends NetworkSubjectInputs {
  readonly stamp: Stamp;
  /** A record as a line of text, its newline included; undefined: as JSON. */
  readonly format: ((record: EventRecord) => string) | undefined;
}

interface NetworkLine {
  readonly text: string;
  readonly subject: NetworkSubject;
}

type KnownSubject = Omit<ReturnType<typeof processSubject>, "time" | "wallTime"> & {
  time: number;
  wallTime: number;
};

/** A process as it was at its last event, and all of which its part of a line is made. */
interface DescribedProcess extends Pick<Process, "lineage" | "ancestry" | "facts" | "startTicks"> {
  readonly uid: number | undefined;
  /** Its times are those of the last event. */
  readonly subject: KnownSubject;
  readonly fields: EventRecord;
  /** The fields as JSON, without the opening brace. */
  readonly json: string;
}

export class NetworkLines {
  private readonly options: NetworkLinesOptions;
  /** Invalidated by: nothing, what is described is compared. */
  private readonly described = new WeakMap<Process, DescribedProcess>();

  /** As JSON, without the opening brace. Invalidated by: nothing, an opener never changes. */
  private readonly openers = new WeakMap<Opener, string>();

  constructor(options: NetworkLinesOptions) {
    this.options = options;
  }

  /** `wallOffset`: CLOCK_REALTIME - CLOCK_MONOTONIC, ns. */
  line(activity: NetworkActivity, wallOffset: number): NetworkLine {
    const { stamp, format } = this.options;
    const { event } = activity;
    const process = this.describe(activity, wallOffset);
    const { time } = event;
    process.subject.time = time;
    process.subject.wallTime = (time + wallOffset) / 1e6;
    const subject = subjectOfNetwork(process.subject, event, { peerName: this.nameOf(event) });
    const fields = eventFields(subject, stamp);
    const text =
      format === undefined
        ? `${JSON.stringify(fields).slice(0, -1)},${process.json}\n`
        : format({ ...fields, ...process.fields });
    return { text, subject };
  }

  /** The line of the end of a connection or session. */
  endLine(event: CloseEvent, opened: OpenedSocket, wallOffset: number): string {
    const { stamp, format } = this.options;
    const fields = endFields(event, opened, event.time + wallOffset, stamp);
    const { opener } = opened;
    if (format !== undefined) return format({ ...fields, ...openerFields(opener) });
    let json = this.openers.get(opener);
    if (json === undefined) {
      json = JSON.stringify(openerFields(opener)).slice(1);
      this.openers.set(opener, json);
    }
    return `${JSON.stringify(fields).slice(0, -1)},${json}\n`;
  }

  private nameOf(event: NetworkEvent): string | null | undefined {
    return event.kind === "listen" ? undefined : this.options.hostNameOf?.(event.peerAddress);
  }

  private describe({ process, tree, event }: NetworkActivity, wallOffset: number): DescribedProcess {
    const { uid, source, time } = event;
    const known = this.described.get(process);
    if (known !== undefined && known.uid === uid && isAsBefore(process, known)) return known;
    const facts = factsOf(process, uid);
    const subject = processSubject({ process, tree, source, time, facts }, wallOffset, this.options, {});
    const fields = processFields(subjectOfNetwork(subject, event));
    const { lineage, ancestry, startTicks } = process;
    const json = JSON.stringify(fields).slice(1);
    const described = { lineage, ancestry, facts: process.facts, startTicks, uid, subject, fields, json };
    this.described.set(process, described);
    return described;
  }
}

function isAsBefore({ lineage, ancestry, facts, startTicks }: Process, before: DescribedProcess): boolean {
  return (
    lineage === before.lineage &&
    ancestry === before.ancestry &&
    facts === before.facts &&
    startTicks === before.startTicks
  );
}
