// The header of a capture of this host, and what a redacted capture has in place of the host's own.
import { hostname, release } from "node:os";
import { suspendedFor, wallClockOffset } from "../linux/clock.ts";
import { bootId } from "../linux/process.ts";
import type { ArgumentRedaction } from "../report/redact.ts";
import { version } from "../report/version.ts";
import type { CaptureRedaction } from "../sensor/capture/capture-writer.ts";
import type { CaptureHeader } from "../sensor/capture/header.ts";

/** What stands for the name of a host. */
const REDACTED = "redacted";
/** User ids from here on are people's (login.defs(5), UID_MIN). */
const FIRST_PERSON = 1000;

/** The header of a capture that begins now. */
export function captureHeader(
  made: Pick<
    CaptureHeader,
    "madeBy" | "redacted" | "bootTimeMs" | "source" | "argumentsLimit" | "enforcement"
  > &
    Partial<Pick<CaptureHeader, "wallOffset" | "suspended">>,
): CaptureHeader {
  return {
    treewarden: version,
    hostName: made.redacted ? REDACTED : hostname(),
    kernel: release(),
    bootId: bootId(),
    wallOffset: wallClockOffset(),
    suspended: suspendedFor(),
    ...made,
  };
}

/** A baseline's file without the names of the hosts it was learned on. */
export function withoutHosts(baseline: string): string {
  const headerEnd = baseline.indexOf("\n\n");
  const header = baseline.slice(0, Math.max(0, headerEnd));
  return header.replace(/^host .*$/gm, `host ${REDACTED}`) + baseline.slice(header.length);
}

/** For captures that leave the host: arguments lose their secrets, and people their names. Paths stay as they are. */
export function captureRedaction({ args, variable }: ArgumentRedaction): CaptureRedaction {
  return {
    args,
    environment: (environment) =>
      new Map([...environment].map(([name, value]) => [name, value === null ? null : variable(name, value)])),
    userName: (uid, name) => (uid >= FIRST_PERSON ? `user${uid}` : name),
  };
}
