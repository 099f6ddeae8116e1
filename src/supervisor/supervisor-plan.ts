// What a supervisor hands to its successor: the plans of its children and open descriptors, and nothing else.
import { closeSync, fstatSync, readSync } from "node:fs";
import * as v from "valibot";

const names = [
  "reportOfWarden",
  "reportOfReporter",
  "controlWarden",
  "controlOfWarden",
  "controlReporter",
  "controlOfReporter",
  "controlExaminer",
  "controlOfExaminer",
  "examinerOfWarden",
  "wardenOfExaminer",
  "packages",
  "deadMan",
  "lock",
  "wardenPlan",
  "reporterPlan",
  "examinerPlan",
] as const;

/**
 * The numbers of the run's descriptors in one process. `report*` and `*Of*`: the two ends of the pairs between warden
 * and reporter, and between warden and examiner. `control*` without `Of`: the supervisor's ends. `packages`: the watch
 * on the package database. `lock`: the state directory's. `*Plan`: sealed files that each child of that role reads.
 */
export type Descriptors = { readonly [name in (typeof names)[number]]: number };

const id = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** 0 to 2 are the standard streams. */
const descriptor = v.pipe(v.number(), v.safeInteger(), v.minValue(3));

/** How a supervisor is started: with JSON in a sealed file. */
const SupervisorPlan = v.object({
  /** Names this run, from `treewarden run` to its end, through every restart. */
  runId: v.string(),
  /** A warden that crashes again and again is started without eBPF: nobody has chosen its sensor. */
  sensorFallback: v.boolean(),
  /** Null: the supervisor's own user, because it may not change it. */
  reporterUser: v.nullable(v.object({ uid: id, gid: id })),
  deadManMs: id,
  descriptors: v.object(v.entriesFromList(names, descriptor)),
  /** The pid of the supervisor to wait for; undefined for the first supervisor of a run. */
  standbyOf: v.exactOptional(id),
});
export type SupervisorPlan = Readonly<v.InferOutput<typeof SupervisorPlan>>;

/** The plan in `text`; throws a SyntaxError or a ValiError for anything that a supervisor did not write. */
export function parseSupervisorPlan(text: string): SupervisorPlan {
  return v.parse(SupervisorPlan, JSON.parse(text));
}

/**
 * What follows a process's role on its command line: the run's id and the number of the descriptor from which it reads
 * its plan. Everybody can read the arguments of a process, so nothing of the configuration stands there.
 */
export function planArguments(runId: string, fd: number): readonly string[] {
  return [runId, String(fd)];
}

/**
 * The text of the plan that the words behind a role lead to; its descriptor is closed. Throws a SyntaxError if there is
 * none, as when a person tries the hidden command.
 */
export function readPlan(words: readonly string[]): string {
  const [, number = ""] = words;
  try {
    if (!/^[1-9]\d*$/.test(number)) throw new RangeError(number);
    const fd = Number(number);
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new RangeError(number);
    const bytes = new Uint8Array(new ArrayBuffer(stat.size));
    // From the beginning: the descriptors of earlier children share their position with this one.
    for (let length = 0; length < bytes.length; ) {
      const got = readSync(fd, bytes, length, bytes.length - length, length);
      if (got === 0) break;
      length += got;
    }
    closeSync(fd);
    return new TextDecoder().decode(bytes);
  } catch (error) {
    throw new SyntaxError("no plan", { cause: error });
  }
}

/** Each descriptor replaced by what `change` makes of it, in a fixed order. */
export function mapDescriptors(from: Descriptors, change: (fd: number) => number): Descriptors {
  return {
    reportOfWarden: change(from.reportOfWarden),
    // Stands early so that a standby, which gets them as 3, 4, 5... in this order, never has a child's end of a
    // control pair as number 4: that is how children are known (descriptor-holders.ts).
    lock: change(from.lock),
    reportOfReporter: change(from.reportOfReporter),
    controlWarden: change(from.controlWarden),
    controlOfWarden: change(from.controlOfWarden),
    controlReporter: change(from.controlReporter),
    controlOfReporter: change(from.controlOfReporter),
    controlExaminer: change(from.controlExaminer),
    controlOfExaminer: change(from.controlOfExaminer),
    examinerOfWarden: change(from.examinerOfWarden),
    wardenOfExaminer: change(from.wardenOfExaminer),
    packages: change(from.packages),
    deadMan: change(from.deadMan),
    wardenPlan: change(from.wardenPlan),
    reporterPlan: change(from.reporterPlan),
    examinerPlan: change(from.examinerPlan),
  };
}
