// What the examiner finds out about a file, and what warden and examiner say to each other: one JSON object a packet.
// The examiner reads what others wrote and may be taken over, so the warden takes any bytes and believes nothing but
// these shapes.
import * as v from "valibot";
import { isContainerId, isImageReference } from "../fingerprint/image-reference.ts";

/** A packet is never longer. */
export const EXAMINE_PACKET = 65_536;

const path = v.pipe(v.string(), v.startsWith("/"), v.maxLength(4096));
const number = v.pipe(v.number(), v.finite(), v.minValue(0));
const origin = v.pipe(v.string(), v.maxLength(255));

const Question = v.strictObject({
  path,
  /** st_dev and st_ino of the file that was run: another one at that path is not meant. */
  device: number,
  inode: number,
  /** Its digest is wanted too: that comes in an answer of its own, when nothing else is asked. */
  digest: v.optional(v.literal(true)),
});
export type ExaminerQuestion = v.InferOutput<typeof Question>;

const state = v.pipe(v.string(), v.maxLength(1000));

/**
 * A warden has started, or an examiner. `packages`: the state of the package database that this warden was told of;
 * the base system and what is known of it are told of each state once.
 */
const Begin = v.strictObject({ type: v.literal("begin"), generation: number, packages: v.optional(state) });

const container = v.pipe(v.string(), v.check(isContainerId));

/** Of which image this container was made. */
const Container = v.strictObject({ type: v.literal("container"), id: container });

const Asked = v.union([Question, Begin, Container]);
/** What the warden says. */
export type ExaminerRequest = v.InferOutput<typeof Asked>;

const Answer = v.strictObject({
  type: v.literal("answer"),
  path,
  device: number,
  inode: number,
  /** The file's ctime in seconds since the epoch, when it was looked at; absent if it could not be. */
  changed: v.optional(number),
  package: v.optional(v.nullable(origin)),
  unpackaged: v.optional(v.boolean()),
  modified: v.optional(v.boolean()),
  digest: v.optional(v.pipe(v.string(), v.regex(/^sha256:[0-9a-f]{64}$/))),
  /** False if the answer may be another one a little later: the file is young, or packages are being installed. */
  final: v.boolean(),
});
export type ExaminerAnswer = v.InferOutput<typeof Answer>;

const Base = v.strictObject({
  type: v.literal("base"),
  /** Absolute path, as `BaseSystem` has it, and a word on where it comes from. */
  files: v.array(v.tuple([path, origin])),
  /** The first and the last packet of one list. */
  first: v.boolean(),
  last: v.boolean(),
});
export type BaseSystemPart = v.InferOutput<typeof Base>;

const Told = v.variant("type", [
  /** It has just started: what it was asked before is lost, unless the one before it said that it sleeps. */
  v.strictObject({ type: v.literal("ready") }),
  /** It ends until there is something to do; whatever it was asked is answered, or waits for the next. */
  v.strictObject({ type: v.literal("asleep") }),
  /** The base system was told in whole, by this state of the package database: answers by another may be wrong. */
  v.strictObject({ type: v.literal("packages"), state }),
  /** The image's name without tag and digest; absent if its runtime does not tell. */
  v.strictObject({
    type: v.literal("container"),
    id: container,
    image: v.optional(v.pipe(v.string(), v.check(isImageReference))),
  }),
  Answer,
  Base,
]);
/** What the examiner says. */
export type ExaminerMessage = v.InferOutput<typeof Told>;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export function encodeExaminerMessage(message: ExaminerRequest | ExaminerMessage): Uint8Array {
  return encoder.encode(JSON.stringify(message));
}

/** undefined for anything that the warden would not say. */
export function decodeExaminerRequest(packet: Uint8Array): ExaminerRequest | undefined {
  const result = v.safeParse(Asked, parse(packet));
  return result.success ? result.output : undefined;
}

/** undefined for anything that the examiner would not say. */
export function decodeExaminerMessage(packet: Uint8Array): ExaminerMessage | undefined {
  const result = v.safeParse(Told, parse(packet));
  return result.success ? result.output : undefined;
}

function parse(packet: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(packet));
  } catch {
    return undefined;
  }
}
