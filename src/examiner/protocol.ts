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

/**
 * What is read as evidence: the descriptors of the packet, in the order of `files`. `copy` is an empty file that the
 * executable is copied to.
 */
const evidenceFiles = ["executable", "environ", "maps", "tcp", "tcp6", "udp", "udp6", "copy"] as const;
export type EvidenceFile = (typeof evidenceFiles)[number];

/** Bounds of the lists in an answer, so that it fits into a packet whatever the process has chosen. */
export const evidenceLimits = {
  names: { count: 96, characters: 64 },
  maps: { count: 64, characters: 160 },
  sockets: { count: 64, characters: 128 },
} as const;

/** Asks for the evidence behind the descriptors of the packet, of a process that stands still and is then killed. */
const Evidence = v.strictObject({
  type: v.literal("evidence"),
  id: contentId,
  files: v.pipe(v.array(v.picklist(evidenceFiles)), v.maxLength(evidenceFiles.length)),
  /** Inodes of the sockets that the process has. */
  sockets: v.pipe(v.array(contentId), v.maxLength(evidenceLimits.sockets.count)),
  /** The largest executable that is copied. */
  copyBytes: number,
});

/** The most paths of one question to open files. */
const OPEN_PATHS = 256;
/** Asks that the files at these paths be opened, and kept open until they are released. */
const Open = v.strictObject({
  type: v.literal("open"),
  id: contentId,
  paths: v.pipe(v.array(path), v.maxLength(OPEN_PATHS)),
});
const Release = v.strictObject({ type: v.literal("release"), id: contentId });

/** Asks which files these paths of a baseline stand for, as they are compared (`comparedPath`). */
const List = v.strictObject({
  type: v.literal("list"),
  id: contentId,
  patterns: v.pipe(v.array(path), v.maxLength(OPEN_PATHS)),
});

const Request = v.union([Question, Begin, Container, Content, Evidence, Open, Release, List]);
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
  /** The path belongs to a package, and the file is as the package brought it, or that is not known. */
  packaged: v.boolean(),
});
/** What the examiner found at a path or behind a descriptor. */
export type ExaminedContent = Omit<v.InferOutput<typeof ContentAnswer>, "type" | "id">;

const textsOf = ({ count, characters }: { readonly count: number; readonly characters: number }) =>
  v.pipe(v.array(v.pipe(v.string(), v.maxLength(characters))), v.maxLength(count), v.readonly());

const EvidenceAnswer = v.strictObject({
  type: v.literal("evidence"),
  id: contentId,
  /** Of the executable; absent if it is too large or cannot be read. */
  digest: v.optional(v.pipe(v.string(), v.regex(/^sha256:[0-9a-f]{64}$/))),
  size: v.optional(number),
  /** The executable was copied whole; digest and size are those of the copy. */
  isCopied: v.optional(v.literal(true)),
  environmentNames: v.optional(textsOf(evidenceLimits.names)),
  maps: v.optional(textsOf(evidenceLimits.maps)),
  sockets: textsOf(evidenceLimits.sockets),
});
/** What the examiner has read of a process. */
export type EvidenceFacts = Omit<v.InferOutput<typeof EvidenceAnswer>, "type" | "id">;
const pid = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

const Opened = v.strictObject({
  /**
   * `file`: a file of root's alone, open by `fd`. `none`: there is none, and none but root can put one there. `unsafe`: what
   * is there, or may be, is not root's alone.
   */
  is: v.picklist(["file", "none", "unsafe"]),
  path,
  fd: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
});
/** What the examiner found at a path that it was to open. */
export type OpenedPath = v.InferOutput<typeof Opened>;

const OpenAnswer = v.strictObject({
  type: v.literal("opened"),
  id: contentId,
  /** The examiner's own. */
  pid,
  files: v.pipe(v.array(Opened), v.maxLength(OPEN_PATHS)),
});

const Listed = v.strictObject({
  pattern: path,
  /** Absent if they cannot be listed: others than root decide what is there, or there are too many. */
  paths: v.optional(v.pipe(v.array(path), v.readonly())),
});
/** What the examiner found that a path of a baseline stands for. */
export type ListedPattern = v.InferOutput<typeof Listed>;

const ListAnswer = v.strictObject({
  type: v.literal("listed"),
  id: contentId,
  patterns: v.pipe(v.array(Listed), v.maxLength(OPEN_PATHS)),
});

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
  EvidenceAnswer,
  OpenAnswer,
  ListAnswer,
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
