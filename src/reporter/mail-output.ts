// Alarms by mail: the first one soon, then at most one mail in an interval, each with the alarms since the last.
import { hostname } from "node:os";
import type { EventRecord } from "../report/event-record.ts";
import { createRedaction } from "../report/redact.ts";
import { AlarmGroups, isAlarm } from "./alarms.ts";
import { formatMail } from "./mail-text.ts";
import type { JournalOutput, OutputKind } from "./output.ts";
import { sendMail } from "./sendmail.ts";

/** Alarms gather this long, ms. */
const GATHER_MS = 10_000;
/** Rows read for one mail: about half a second of reading. */
const ROWS = 50_000;
/** Kinds of alarms that one mail tells apart. */
const KINDS = 1_000;

export interface MailOptions {
  /** Addresses. */
  readonly to: readonly string[];
  readonly host: string;
  /** Roles whose policies are in force now. */
  readonly roles: () => readonly string[];
  /** Between two mails, or attempts, ms. */
  readonly intervalMs: number;
  /** How long alarms gather, ms. */
  readonly gatherMs: number;
  readonly redact: (record: EventRecord) => EventRecord;
  /** Sends a whole mail; undefined, or why it failed. */
  readonly send: (mail: string) => Promise<string | undefined>;
}

export const mailOutput: OutputKind<"mail"> = {
  name: "mail",
  signals: { mail: "send mail" },
  queue: "mail",
  open({ options, rolesInForce }) {
    const { mail, arguments: args } = options.config;
    if (mail.to.length === 0) return undefined;
    return {
      journal: alarmMails({
        to: mail.to,
        host: hostname(),
        roles: rolesInForce,
        intervalMs: mail.every_minutes * 60_000,
        gatherMs: GATHER_MS,
        // A mail is kept by many: no setting lets secrets into it.
        redact: createRedaction(args.report === "off" ? "off" : "redacted", args.redact),
        send: sendMail,
      }),
    };
  },
};

/** One mail for each batch. The end of the reporter sends none: what waits is mailed after the next start. */
export function alarmMails(options: MailOptions): JournalOutput<"mail"> {
  const { to, host, roles, intervalMs, gatherMs, redact, send } = options;
  return {
    signal: "mail",
    position: "mail",
    pacing: {
      gatherMs,
      intervalMs,
      maxRows: ROWS,
      maxBytes: Number.POSITIVE_INFINITY,
      rest: "passed over",
      deliversAtEnd: false,
    },
    accepts: isAlarm,
    takesBestEffort: false,
    async deliver(batch) {
      const alarms = new AlarmGroups(KINDS);
      for await (const record of batch.records) alarms.add(redact(record));
      const why = await send(formatMail({ to, host, roles: roles(), alarms, unread: batch.passedOver }));
      return why === undefined ? { outcome: "delivered" } : { outcome: "failed", why };
    },
  };
}
