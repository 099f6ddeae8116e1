// What a collector's answer means for the batch that was sent (OTLP specification 1.x, section OTLP/HTTP response).
import { printable } from "../linux/text.ts";
import type { HttpAnswer } from "./http-post.ts";
import { readExportResponse, readStatusMessage } from "./otlp-response.ts";
import type { Delivery } from "./output.ts";

/** Nobody waits longer because a collector said so: it may have meant it for the moment, or be no collector. */
const LONGEST_RETRY_AFTER_MS = 5 * 60_000;
/** The longest text of a collector in a message of ours. */
const LONGEST_TEXT = 200;

/** `nowMs`: milliseconds since the epoch. `sent`: the number of records or points in the batch. */
export function deliveryOf(answer: HttpAnswer, sent: number, nowMs: number): Delivery {
  const { status, contentType, body } = answer;
  if (status >= 200 && status <= 299) {
    const response = readExportResponse(contentType, body);
    if (response === undefined) {
      const type = contentType === "" ? "" : ` (${shown(contentType)})`;
      return { outcome: "failed", why: `HTTP ${status} with a body that is no answer of OTLP${type}` };
    }
    const { rejected, message } = response;
    if (rejected === 0 && message === "") return { outcome: "delivered" };
    return {
      outcome: "delivered",
      partial: { rejected: Math.min(rejected, sent), why: shown(message) || "no reason was given" },
    };
  }
  const why = reasonOf(answer);
  if (status === 413) return { outcome: "too large", why };
  if (status === 400 || status === 422) return { outcome: "rejected", why };
  const retryAfterMs = retryAfterOf(answer.retryAfter, nowMs);
  return { outcome: "failed", why, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

function reasonOf({ status, contentType, location, body }: HttpAnswer): string {
  if (status >= 300 && status <= 399) {
    const target = location === undefined ? "" : ` to ${shown(location)}`;
    return `HTTP ${status}: redirects${target} are not followed`;
  }
  const message = shown(readStatusMessage(contentType, body));
  return message === "" ? `HTTP ${status}` : `HTTP ${status}: ${message}`;
}

/**
 * Retry-After (RFC 9110, 10.2.3) in milliseconds from now: seconds, or a date. Undefined if there is none or it is
 * neither.
 */
function retryAfterOf(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : httpDate(text) - nowMs;
  return Number.isNaN(ms) ? undefined : Math.min(LONGEST_RETRY_AFTER_MS, Math.max(0, ms));
}

/** An HTTP date begins with a day of the week; Date.parse would take other texts as well. */
function httpDate(text: string): number {
  return /^[A-Z][a-z]{2,8},? .*\d\d:\d\d:\d\d/.test(text) ? Date.parse(text) : Number.NaN;
}

/** The first line of a text from outside, made printable and short. */
function shown(text: string): string {
  const line = printable(text.trim().split("\n")[0]?.trim() ?? "");
  return line.length <= LONGEST_TEXT ? line : `${line.slice(0, LONGEST_TEXT)}...`;
}
