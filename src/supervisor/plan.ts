// What a supervisor hands to its successor: arguments and open descriptors, and nothing else.
import * as v from "valibot";

const fd = v.pipe(v.number(), v.integer(), v.minValue(3));
const id = v.pipe(v.number(), v.integer(), v.minValue(0));

const Descriptors = v.strictObject({
  /** The pair between warden and reporter. */
  reportOfWarden: fd,
  reportOfReporter: fd,
  /** The supervisor's end and the warden's. */
  controlWarden: fd,
  controlOfWarden: fd,
  /** The supervisor's end and the reporter's. */
  controlReporter: fd,
  controlOfReporter: fd,
  /** The supervisor's end and the examiner's. */
  controlExaminer: fd,
  controlOfExaminer: fd,
  /** The pair between warden and examiner. */
  examinerOfWarden: fd,
  wardenOfExaminer: fd,
  deadMan: fd,
  /** The state directory's lock. */
  lock: fd,
});

/** The numbers of the run's descriptors in one process. */
export type Descriptors = v.InferOutput<typeof Descriptors>;

const Plan = v.strictObject({
  /** Names this run, from `treewarden run` to its end, through every restart. */
  runId: v.string(),
  wardenArgs: v.array(v.string()),
  reporterArgs: v.array(v.string()),
  examinerArgs: v.array(v.string()),
  /** Null: the supervisor's own user, because it may not change it. */
  reporterUser: v.nullable(v.strictObject({ uid: id, gid: id })),
  deadManMs: v.pipe(v.number(), v.integer(), v.minValue(1)),
  descriptors: Descriptors,
  /** The pid of the supervisor to wait for; undefined for the first supervisor of a run. */
  standbyOf: v.optional(id),
});

/** How a supervisor is started: one argument of JSON. */
export type Plan = v.InferOutput<typeof Plan>;

/** The plan in `text`; throws if it is not one. */
export function parsePlan(text: string): Plan {
  return v.parse(Plan, JSON.parse(text));
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
    deadMan: change(from.deadMan),
  };
}
