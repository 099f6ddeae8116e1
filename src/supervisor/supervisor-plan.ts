// What a supervisor hands to its successor: arguments and open descriptors, and nothing else.
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
] as const;

/**
 * The numbers of the run's descriptors in one process. `report*` and `*Of*`: the two ends of the pairs between warden
 * and reporter, and between warden and examiner. `control*` without `Of`: the supervisor's ends. `packages`: the watch
 * on the package database. `lock`: the state directory's.
 */
export type Descriptors = { readonly [name in (typeof names)[number]]: number };

const id = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const words = v.array(v.string());
/** 0 to 2 are the standard streams. */
const descriptor = v.pipe(v.number(), v.safeInteger(), v.minValue(3));

/** How a supervisor is started: one argument of JSON. */
const SupervisorPlan = v.object({
  /** Names this run, from `treewarden run` to its end, through every restart. */
  runId: v.string(),
  wardenArgs: words,
  reporterArgs: words,
  examinerArgs: words,
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

/** Each descriptor replaced by what `change` makes of it, in a fixed order. */
export function mapDescriptors(from: Descriptors, change: (fd: number) => number): Descriptors {
  return {
    reportOfWarden: change(from.reportOfWarden),
    // Stands early so that a standby, which gets them as 3, 4, 5... in this order, never has a child's end of a
    // control pair as number 4: that is how children are known (adopt.ts).
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
  };
}
