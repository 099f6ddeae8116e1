// When to mail: the first alarm soon, then at most one mail in a while. The journal is the queue: what was not mailed
// is read again, whatever ended meanwhile.

import type { EventRecord } from "../report/event-record.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { AlarmGroups, isAlarm } from "./alarms.ts";
import type { Journal } from "./journal.ts";
import { letter } from "./letter.ts";

export interface MailOutputInputs {
  readonly journal: Journal;
  readonly to: readonly string[];
  readonly host: string;
  /** Roles whose policies are in force now. */
  readonly roles: () => readonly string[];
  /** Between two mails, or attempts. */
  readonly intervalMs: number;
  readonly redact: (record: EventRecord) => EventRecord;
  /** Sends a whole mail; undefined, or why not. */
  readonly send: (mail: string) => Promise<string | undefined>;
  readonly onFailure: (why: string) => void;
  /** How long alarms gather; default 10 s. */
  readonly gatherMs?: number;
}

const GATHER_MS = 10_000;
const BATCH = 512;
const BATCH_BYTES = 2 << 20;
/** Records read for one mail: about half a second of reading. */
const READ = 50_000;
const KINDS = 1_000;
/** Rows without an alarm that are read again after a crash, at most. */
const REMEMBER_EVERY = 1_000;
/** Names in the journal's memory: rows up to this id were mailed; when a mail was last tried (ms since the epoch). */
const POSITION = "mail.position";
const TRIED = "mail.tried";

export class MailOutput {
  private readonly inputs: MailOutputInputs;
  private position: number;
  private remembered = -1;
  private tried: number;
  private busy = false;
  private ended = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(inputs: MailOutputInputs) {
    this.inputs = inputs;
    const { journal } = inputs;
    const stored = Number(journal.recall(POSITION) ?? Number.NaN);
    const newest = journal.newest();
    this.position = Number.isSafeInteger(stored) && stored <= newest ? stored : newest;
    this.tried = Number(journal.recall(TRIED) ?? 0) || 0;
    this.remember(this.position);
    if (this.position < newest) this.plan();
  }

  /** These were written to the journal. */
  wrote(records: readonly EventRecord[]): void {
    if (this.timer !== undefined || this.busy) return;
    if (records.some(isAlarm)) {
      this.plan();
      return;
    }
    this.position = this.inputs.journal.newest();
    if (this.position - this.remembered >= REMEMBER_EVERY) this.remember(this.position);
  }

  /** What waits is mailed after the next start. */
  end(): void {
    this.ended = true;
    clearTimeout(this.timer);
    if (this.position !== this.remembered) this.remember(this.position);
  }

  private plan(): void {
    if (this.timer !== undefined || this.busy || this.ended) return;
    const { intervalMs, gatherMs = GATHER_MS } = this.inputs;
    // A clock that was set back makes nobody wait longer.
    const wait = Math.min(intervalMs, this.tried + intervalMs - Date.now());
    this.timer = setTimeout(() => void this.mail(), Math.max(gatherMs, wait));
  }

  private async mail(): Promise<void> {
    this.timer = undefined;
    this.busy = true;
    let waits = false;
    try {
      waits = await this.mailOnce();
    } catch (error) {
      this.inputs.onFailure(messageOf(error));
      waits = true;
    } finally {
      this.busy = false;
    }
    if (waits) this.plan();
  }

  /** True if something is left to be mailed. */
  private async mailOnce(): Promise<boolean> {
    const { journal, to, host, roles, send, onFailure } = this.inputs;
    const newest = journal.newest();
    const alarms = new AlarmGroups(KINDS);
    // A journal that was begun anew counts from 1 again.
    if (this.position > newest) this.position = 0;
    const unread = await this.read(newest, alarms);
    if (alarms.total === 0 && unread === 0) {
      this.remember(newest);
      return false;
    }
    this.tried = Date.now();
    journal.remember({ [TRIED]: String(this.tried) });
    const why = await send(letter({ to, host, roles: roles(), alarms, unread }));
    if (why === undefined) this.remember(newest);
    else onFailure(why);
    return why !== undefined || journal.newest() > newest;
  }

  /** Counts the alarms of all rows up to `newest`; gives how many rows there were too many of. */
  private async read(newest: number, alarms: AlarmGroups): Promise<number> {
    const { journal, redact } = this.inputs;
    let at = this.position;
    for (let read = 0; read < READ && at < newest; ) {
      const rows = journal.after(at, BATCH, BATCH_BYTES);
      for (const { id, record } of rows) if (id <= newest && isAlarm(record)) alarms.add(redact(record));
      read += rows.length;
      at = rows.at(-1)?.id ?? newest;
      // The warden's records and whoever scrapes wait for no mail.
      await Bun.sleep(0);
    }
    return Math.max(0, newest - at);
  }

  private remember(position: number): void {
    this.position = position;
    this.remembered = position;
    this.inputs.journal.remember({ [POSITION]: String(position) });
  }
}
