// Requests from commands that root runs to a running warden: one small file per request, in a folder that only root can
// write.
import * as v from "valibot";
import { parseJson } from "../vocabulary/parse-json.ts";

/** Folder in the state directory, owned by root, mode 0700. */
export const REQUEST_FOLDER = "requests";
/** Maximum size of a request file in bytes. */
export const REQUEST_FILE_LIMIT = 1_024;
/** Longest learning run that can be requested: a leap year, in seconds. */
export const LEARN_LIMIT = 366 * 86_400;
/** Maximum number of request files that are read at a time. The warden deletes each, so far fewer are ever there. */
export const REQUESTS_LIMIT = 64;

const version = v.literal(1);
const pipeFile = v.pipe(v.string(), v.regex(/^\d{15}-[0-9a-f]{8}\.pipe$/));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const asker = v.strictObject({ pid: count, login_user: v.nullable(count), session: v.nullable(count) });
const savedRequest = v.variant("kind", [
  v.strictObject({
    version,
    kind: v.literal("learn"),
    seconds: v.nullable(v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(LEARN_LIMIT))),
  }),
  v.strictObject({ version, kind: v.literal("stop-learning") }),
  v.strictObject({ version, kind: v.literal("reload-baseline") }),
  v.strictObject({ version, kind: v.literal("reload-changes") }),
  v.strictObject({ version, kind: v.literal("reload-overrides") }),
  v.strictObject({ version, kind: v.literal("reload") }),
  v.strictObject({ version, kind: v.literal("status") }),
  v.strictObject({
    version,
    kind: v.literal("closed"),
    pid: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  }),
  v.strictObject({ version, kind: v.literal("record"), pipe: pipeFile, redact: v.boolean() }),
  v.strictObject({ version, kind: v.literal("stop-recording"), pipe: pipeFile }),
  v.strictObject({
    version,
    kind: v.picklist(["release", "kill"]),
    pid: count,
    startTicks: count,
    by: asker,
  }),
]);

export type WardenRequest =
  /** Collect every tree for `seconds`; null: until a request to stop. */
  | { readonly kind: "learn"; readonly seconds: number | null }
  /** End the learning run. Answered once its state is saved. */
  | { readonly kind: "stop-learning" }
  /** Read the baseline in force and the exclusions again. */
  | { readonly kind: "reload-baseline" }
  /** Report all that was collected so far, then read the exclusions again, with their change windows. Answered. */
  | { readonly kind: "reload-changes" }
  /** Read the orders of root's commands again. Answered. */
  | { readonly kind: "reload-overrides" }
  /** Read configuration and policies again. Answered. */
  | { readonly kind: "reload" }
  /** Describe what the kernel lets the process execute. Answered. */
  | { readonly kind: "closed"; readonly pid: number }
  /** Describe what is in force. Answered. */
  | { readonly kind: "status" }
  /** Write a capture into the named pipe of this name, which is in the folder of requests. */
  | { readonly kind: "record"; readonly pipe: string; readonly redact: boolean }
  /** End the capture into this pipe. */
  | { readonly kind: "stop-recording"; readonly pipe: string }
  /** Let go on, or kill, the stopped tree that a process belongs to. `by`: who asks. Answered. */
  | {
      readonly kind: "release" | "kill";
      readonly pid: number;
      /** Of the process, as field 22 of /proc/PID/stat has it. */
      readonly startTicks: number;
      readonly by: {
        readonly pid: number;
        readonly login_user: number | null;
        readonly session: number | null;
      };
    };

/** Name of a pipe for a capture. It has the form of `requestName`. */
export function pipeName(ms: number, random: number): string {
  return requestName(ms, random).replace(/json$/, "pipe");
}

/** Name of a request's file. Names sort by time (ms since the epoch), so that requests are handled in order. */
export function requestName(ms: number, random: number): string {
  return `${String(Math.floor(ms)).padStart(15, "0")}-${Math.floor(random).toString(16).padStart(8, "0").slice(-8)}.json`;
}

/** The name of the answer to the request of this name, in the same folder. The command that has asked removes it. */
export function answerName(request: string): string {
  return request.replace(/json$/, "answer");
}

/** Whether a file in the folder is an answer that was left `seconds` ago or earlier: no command waits for it any more. */
export function isAbandonedAnswer(name: string, nowMs: number, seconds: number): boolean {
  const match = /^(\d{15})-[0-9a-f]{8}\.answer$/.exec(name);
  return match !== null && Number(match[1]) <= nowMs - seconds * 1_000;
}

/** Whether a file in the folder is a request; other files are ignored. */
export function isRequestName(name: string): boolean {
  return /^\d{15}-[0-9a-f]{8}\.json$/.test(name);
}

/** The content of a request's file. */
export function formatWardenRequest(request: WardenRequest): string {
  return `${JSON.stringify({ version: 1, ...request })}\n`;
}

/** Parses the content of a request's file; undefined if it is not a valid request. */
export function parseWardenRequest(bytes: Uint8Array): WardenRequest | undefined {
  if (bytes.length > REQUEST_FILE_LIMIT) return undefined;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
  const saved = parseJson(savedRequest, text);
  if (saved === undefined) return undefined;
  const { version: _version, ...request } = saved;
  return request;
}
