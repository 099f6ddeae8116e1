// Mails alarms: the first one soon, then at most one mail per interval with the alarms since the last mail.
import { hostname } from "node:os";
import type { EventRecord } from "../report/event-record.ts";
import { createRedaction } from "../report/redact.ts";
import type { OutputSignal } from "../vocabulary/outputs.ts";
import { AlarmGroups, isAlarm } from "./alarms.ts";
import { formatMail } from "./mail-text.ts";
import type { JournalOutput, OutputKind } from "./output.ts";
import { sendMail } from "./sendmail.ts";

/** The time to gather alarms before a mail, ms. */
const GATHER_MS = 10_000;
/** The most rows to read for one mail, which takes about half a second. */
const ROWS = 50_000;
/** The most kinds of alarms that a mail distinguishes. */
const KINDS = 1_000;

export interface MailOptions {
  /** Addresses. */
  readonly to: readonly string[];
  readonly host: string;
  /** Roles whose policies are in force now. */
  readonly roles: () => readonly string[];
  /** The interval between two mails or attempts, ms. */
  readonly intervalMs: number;
  /** The time to gather alarms before a mail, ms. */
  readonly gatherMs: number;
  readonly redact: (record: EventRecord) => EventRecord;
  /** Sends a complete mail. Resolves with undefined, or with the reason for a failure. */
  readonly send: (mail: string) => Promise<string | undefined>;
}

export const mailOutput: OutputKind<OutputSignal<"mail">> = {
  name: "mail",
  signals: { mail: "send mail" },
  queue: "mail",
  open({ options, inForce }) {
    const { mail, arguments: args } = options.config;
    if (mail.to.length === 0) return undefined;
    return {
      journal: alarmMails({
        to: mail.to,
        host: hostname(),
        roles: () => inForce().roles,
        intervalMs: mail.every_minutes * 60_000,
        gatherMs: GATHER_MS,
        // Mails are stored in many places, so no setting may let secrets into them.
        redact: createRedaction(args.report === "off" ? "off" : "redacted", args.redact),
        send: sendMail,
      }),
    };
  },
};

/** Sends one mail per batch, but none at shutdown: waiting alarms are mailed after the next start. */
export function alarmMails(options: MailOptions): JournalOutput<OutputSignal<"mail">> {
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
