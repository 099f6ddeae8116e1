// The messages between warden and examiner: one JSON object a packet. The examiner reads files that other users wrote
// and might be taken over by one, so the warden accepts arbitrary bytes and validates every message against a schema.
import * as v from "valibot";
import { isContainerId, isImageReference } from "../fingerprint/image-reference.ts";
import { isPodLabel, isPodName } from "../vocabulary/pod.ts";

/** The largest packet, in bytes. */
export const EXAMINE_PACKET = 65_536;

const path = v.pipe(v.string(), v.startsWith("/"), v.maxLength(4096));
const number = v.pipe(v.number(), v.finite(), v.minValue(0));
const origin = v.pipe(v.string(), v.maxLength(255));

const Question = v.strictObject({
  path,
  /** st_dev and st_ino of the file that was run: a different file at that path is not examined. */
  device: number,
  inode: number,
  /** The digest is wanted too. It is sent in a separate answer, once no other question waits. */
  digest: v.optional(v.literal(true)),
});
export type ExaminerQuestion = v.InferOutput<typeof Question>;

const state = v.pipe(v.string(), v.maxLength(1000));

/**
 * Sent when a warden or an examiner has started. `packages` is the state of the package database that this warden
 * received last; the examiner sends the base system only if its state is another one.
 */
const Begin = v.strictObject({ type: v.literal("begin"), generation: number, packages: v.optional(state) });

const container = v.pipe(v.string(), v.check(isContainerId));

/** Asks for the image that this container was created from, and for its pod. */
const Container = v.strictObject({ type: v.literal("container"), id: container });

const podLabel = v.pipe(v.string(), v.check(isPodLabel));
const Pod = v.strictObject({
  name: v.optional(v.pipe(v.string(), v.check(isPodName))),
  namespace: v.optional(podLabel),
  container: v.optional(podLabel),
});

const contentId = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/**
 * Asks for the content of a runnable's file. The packet may carry a descriptor of the file (O_PATH) as a process found
 * it; without one the file that is at `path` now is read.
 */
const Content = v.strictObject({ type: v.literal("content"), id: contentId, path });

const Request = v.union([Question, Begin, Container, Content]);
/** A message from the warden. */
export type ExaminerRequest = v.InferOutput<typeof Request>;

const Answer = v.strictObject({
  type: v.literal("answer"),
  path,
  device: number,
  inode: number,
  /** The file's ctime when it was examined, in seconds since the epoch; absent if it could not be examined. */
  changed: v.optional(number),
  package: v.optional(v.nullable(origin)),
  unpackaged: v.optional(v.boolean()),
  modified: v.optional(v.boolean()),
  digest: v.optional(v.pipe(v.string(), v.regex(/^sha256:[0-9a-f]{64}$/))),
  /** False if the answer may soon change, because the file is new or packages are being installed. */
  final: v.boolean(),
});
export type ExaminerAnswer = v.InferOutput<typeof Answer>;

const FileStateOf = v.strictObject({
  device: number,
  inode: number,
  size: number,
  modified: number,
  changed: number,
});

const ContentAnswer = v.strictObject({
  type: v.literal("content"),
  id: contentId,
  /** The state in which the file was read; absent if it could not be opened, or while packages are installed. */
  state: v.optional(FileStateOf),
  /** Absent if the file is too large, was written to while it was read, or is packaged. */
  digest: v.optional(v.pipe(v.string(), v.regex(/^sha256:[0-9a-f]{64}$/))),
  /** The path belongs to a package, and the file is as the package brought it, or that cannot be told. */
  packaged: v.boolean(),
});
/** What the examiner found at a path or behind a descriptor. */
export type ExaminedContent = Omit<v.InferOutput<typeof ContentAnswer>, "type" | "id">;

const ContainerAnswer = v.strictObject({
  type: v.literal("container"),
  id: container,
  /** Without tag and digest; absent if the runtime's files do not contain it. */
  image: v.optional(v.pipe(v.string(), v.check(isImageReference))),
  /** Null: it belongs to no pod; absent if the files do not show that. */
  pod: v.optional(v.nullable(Pod)),
});
export type ContainerAnswer = v.InferOutput<typeof ContainerAnswer>;

const Base = v.strictObject({
  type: v.literal("base"),
  /** Absolute path as in `BaseSystem`, and a short text on the program's origin. */
  files: v.array(v.tuple([path, origin])),
  /** The first and the last packet of one list. */
  first: v.boolean(),
  last: v.boolean(),
});
export type BaseSystemPart = v.InferOutput<typeof Base>;

const Message = v.variant("type", [
  /** The examiner has started. Earlier questions are lost, unless the previous examiner sent `asleep`. */
  v.strictObject({ type: v.literal("ready") }),
  /** The examiner exits because it is idle. All questions are answered, or wait in the socket for the next examiner. */
  v.strictObject({ type: v.literal("asleep") }),
  /**
   * The whole base system was sent, from this state of the package database. Answers from other states may be wrong.
   */
  v.strictObject({ type: v.literal("packages"), state }),
  ContainerAnswer,
  /** /etc/ld.so.preload was written, made, replaced or removed. */
  v.strictObject({ type: v.literal("preload") }),
  Answer,
  ContentAnswer,
  Base,
]);
/** A message from the examiner. */
export type ExaminerMessage = v.InferOutput<typeof Message>;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

export function encodeExaminerMessage(message: ExaminerRequest | ExaminerMessage): Uint8Array {
  return encoder.encode(JSON.stringify(message));
}

/** Undefined for a packet that is not a valid request. */
export function decodeExaminerRequest(packet: Uint8Array): ExaminerRequest | undefined {
  const result = v.safeParse(Request, parse(packet));
  return result.success ? result.output : undefined;
}

/** Undefined for a packet that is not a valid message. */
export function decodeExaminerMessage(packet: Uint8Array): ExaminerMessage | undefined {
  const result = v.safeParse(Message, parse(packet));
  return result.success ? result.output : undefined;
}

function parse(packet: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(packet));
  } catch {
    return undefined;
  }
}
