// Every value of `event.name`: the records that leave the warden or the reporter, and the lines that commands print.

export interface EventNameRow {
  /** `process`: of one process. `change`: something happened to treewarden itself. `command`: only printed by a command. */
  readonly about: "process" | "change" | "command";
  /** Exported over OTLP with severity WARN: events are missing. */
  readonly warns?: true;
  readonly meaning: string;
}

const table = {
  "process.exec": { about: "process", meaning: "a process runs a new program" },
  "process.exit": { about: "process", meaning: "a process has ended" },
  "network.connect": { about: "process", meaning: "a process connects a TCP or UDP socket to a peer" },
  "network.send": {
    about: "process",
    meaning: "a process sends its first datagram to a peer over an unconnected UDP socket",
  },
  "network.listen": {
    about: "process",
    meaning: "a process listens on a TCP socket, or binds a UDP socket to a port",
  },
  "network.close": {
    about: "process",
    meaning: "a connection, an attempt to connect or a UDP session ended",
  },
  "tree.new": { about: "process", meaning: "an exec whose tree was not reported before" },
  "policy.verdict": { about: "process", meaning: "a verdict other than a plain allow" },
  "policy.verdict.repeated": {
    about: "process",
    meaning: "several verdicts of one kind; the first one has a record of its own",
  },
  "policy.verdict.unrecorded": {
    about: "change",
    meaning:
      "verdicts of a rule that were counted, and for which no other record stands: the warden was killed before it had reported them",
  },

  "sensor.loss": {
    about: "change",
    warns: true,
    meaning: "events that the kernel made and treewarden did not get",
  },
  "sensor.failed": { about: "change", meaning: "the sensor in use failed for good" },
  "sensor.switched": { about: "change", meaning: "another sensor took over" },
  "sensor.resync": { about: "change", meaning: "/proc was scanned again after a loss" },
  "sensor.listeners_truncated": {
    about: "change",
    warns: true,
    meaning: "a snapshot of what listens left out sockets, because there were more than 65,536",
  },
  "report.gap": { about: "change", warns: true, meaning: "reliable records are missing in the journal" },
  "link.shut_down": {
    about: "change",
    meaning: "a socket between treewarden's processes was shut down, by none of them, and was replaced",
  },
  "preload.changed": {
    about: "change",
    meaning:
      "/etc/ld.so.preload, which puts libraries into every program, was written, made, replaced or removed",
  },
  "self.signaled": {
    about: "change",
    warns: true,
    meaning:
      "a process that is not treewarden's, or the kernel, sent a signal to one of treewarden's processes",
  },
  "self.traced": {
    about: "change",
    warns: true,
    meaning: "a debugger is attached to one of treewarden's processes",
  },
  "self.file_changed": {
    about: "change",
    warns: true,
    meaning:
      "treewarden's executable, unit, configuration, policies, keys, baseline or orders were changed on disk",
  },
  "self.stalled": {
    about: "change",
    warns: true,
    meaning:
      "the warden did not run for a while, though the host did: it was stopped or frozen, or had no CPU",
  },
  "self.restarted": {
    about: "change",
    warns: true,
    meaning: "a process of treewarden's has ended and was started again",
  },
  "sensor.detached": {
    about: "change",
    warns: true,
    meaning: "somebody has cut off the sensor from the kernel; the warden starts again with a new one",
  },
  "process.unreadable": {
    about: "change",
    warns: true,
    meaning:
      "a process kept its arguments, or what it runs, from being read, as its user can by a lock that he holds; once a minute",
  },
  "warden.started": { about: "change", meaning: "the warden watches" },
  "warden.stopped": { about: "change", meaning: "the warden ends in order" },
  "warden.heartbeat": {
    about: "change",
    meaning: "every five minutes: the warden runs; what is in force, and what it has counted",
  },
  "load.shed": {
    about: "change",
    warns: true,
    meaning: "verdicts come late, so the warden leaves something else out",
  },
  "load.normal": { about: "change", meaning: "verdicts come in time again, and nothing is left out" },
  "warden.fault": { about: "change", meaning: "the warden could not handle an event: a fault of treewarden" },
  "policy.loaded": { about: "change", meaning: "another policy is in force" },
  "policy.rejected": { about: "change", meaning: "a policy was refused; the one before stays in force" },
  "configuration.loaded": { about: "change", meaning: "another configuration is in force" },
  "configuration.rejected": {
    about: "change",
    warns: true,
    meaning: "a configuration was refused; the one before stays in force",
  },
  "configuration.not_saved": {
    about: "change",
    meaning: "what is in force could not be saved: a restart reads the files on disk",
  },
  "journal.not_sealed": {
    about: "change",
    meaning:
      "the key or the end of the journal's chain could not be saved: `events verify` will report what is missing",
  },
  "policy.not_saved": {
    about: "change",
    meaning:
      "when the policies in force were signed could not be saved: after a restart an older one is not refused",
  },
  "policy.warning": { about: "change", meaning: "rules in force can never match under the sensor in use" },
  "prevention.mismatch": {
    about: "change",
    warns: true,
    meaning:
      "the kernel ended a program that the policy allows: its file is identified again, or what is below its lineage is open",
  },
  "prevention.limited": {
    about: "change",
    warns: true,
    meaning:
      "too many different programs were ended before their first instruction: further ones are left to user space",
  },
  "prevention.resumed": { about: "change", meaning: "further programs are ended in the kernel again" },
  "enforcement.limited": { about: "change", meaning: "kills are withheld: the kill budget is used up" },
  "enforcement.resumed": { about: "change", meaning: "kills are carried out again" },
  "process.evidence": {
    about: "change",
    meaning: "what a process had that a rule has killed, if `evidence.enabled` is set",
  },
  "evidence.not_saved": {
    about: "change",
    meaning: "the copy of an executable could not be saved, or no copies can be made",
  },
  "stop.continued": {
    about: "change",
    warns: true,
    meaning:
      "somebody has tried to continue a process of a stopped tree, which stands still; at most once a minute for each tree",
  },
  "stop.released": { about: "change", meaning: "root has released a stopped tree" },
  "stop.killed": { about: "change", meaning: "root has killed a stopped tree" },
  "stop.not_saved": {
    about: "change",
    meaning: "which trees are stopped could not be saved: after a restart they are stopped, and not watched",
  },
  "enforcement.paused": {
    about: "change",
    warns: true,
    meaning: "root has paused enforcement: nothing acts; again every 15 minutes while that lasts",
  },
  "enforcement.pause_ended": {
    about: "change",
    warns: true,
    meaning: "the pause is over: armed rules act again",
  },
  "rule.held": {
    about: "change",
    meaning: "the configuration newly arms a rule, which does not act before it is confirmed",
  },
  "rule.confirmed": { about: "change", meaning: "root has confirmed a rule that the configuration arms" },
  "rule.armed": { about: "change", meaning: "root has armed a rule by hand" },
  "rule.arm_ended": { about: "change", meaning: "an order to arm is gone" },
  "rule.disarmed": { about: "change", meaning: "root has disarmed a rule, or all of them" },
  "rule.disarm_ended": { about: "change", meaning: "an order to disarm is over" },
  "rule.silenced": { about: "change", meaning: "root has silenced a rule" },
  "rule.silence_ended": { about: "change", meaning: "a silence is over" },
  "overrides.rejected": {
    about: "change",
    warns: true,
    meaning: "a file of root's orders cannot be used; one that disarms or pauses holds back everything",
  },
  "overrides.not_saved": {
    about: "change",
    meaning: "which orders were recorded could not be saved: a restart may record them again",
  },
  "capture.started": { about: "change", meaning: "the warden makes a capture for a record command" },
  "capture.ended": { about: "change", meaning: "a capture has ended" },
  "capture.refused": { about: "change", meaning: "no second capture is made at the same time" },
  "forest.not_saved": { about: "change", meaning: "the live processes could not be saved" },
  "forest.rejected": { about: "change", meaning: "the saved processes could not be used" },
  "base.changed": {
    about: "change",
    meaning: "the host's packages changed, and so what counts as base system",
  },
  "base.not_saved": { about: "change", meaning: "the base system could not be saved" },
  "baseline.loaded": { about: "change", meaning: "a baseline is in force" },
  "baseline.rejected": { about: "change", meaning: "a baseline was refused; the one before stays in force" },
  "baseline.not_saved": { about: "change", meaning: "the state of the learning could not be saved" },
  "baseline.watching": {
    about: "change",
    meaning: "only trees that the baseline does not know are collected",
  },
  "baseline.learning": {
    about: "change",
    meaning: "learning began; also what `baseline learn --show` prints",
  },
  "baseline.finished": { about: "change", meaning: "learning was long enough without a loss" },
  "baseline.stopped": { about: "change", meaning: "learning was ended by a person" },

  "change.began": {
    about: "change",
    meaning: "a change window is open: rules on `tree.known` do not act on what is new below its program",
  },
  "change.ended": { about: "change", meaning: "no window of the change is open any more" },

  "policy.impact": {
    about: "command",
    meaning: "`policy impact`, `replay --summary`: what a policy would do to one tree, and how often",
  },
  "process.explain": { about: "command", meaning: "`explain`: a process or program and its verdict" },
  "journal.problem": {
    about: "command",
    meaning: "`events verify`: what is wrong in the journal",
  },
  "journal.verified": { about: "command", meaning: "`events verify`: what the journal holds" },
  "status.host": { about: "command", meaning: "`status`: what is in force on this host" },
  "doctor.sensor": { about: "command", meaning: "`doctor`: one event source and what it can report" },
  "doctor.check": { about: "command", meaning: "`doctor`: one check" },
  "doctor.privilege": { about: "command", meaning: "`doctor`: what one process of treewarden may do" },
  "doctor.self_test": {
    about: "command",
    meaning: "`doctor --self-test`: one check of one event source",
  },
  "baseline.learned": {
    about: "command",
    meaning: "`baseline learn --show`, `baseline accept`: a tree that is not in force before it is accepted",
  },
  "baseline.accepted": {
    about: "command",
    meaning: "`baseline review --accept`: a tree that was put into force",
  },
  "baseline.unknown": {
    about: "command",
    meaning: "`baseline compare`: a tree that the baseline does not know",
  },
  "baseline.excluded": {
    about: "command",
    meaning: "`baseline compare`, `baseline review --exclude`: such a tree, hidden by an exclusion",
  },
  "baseline.exclusion": { about: "command", meaning: "`baseline exclude list`: an exclusion" },
  "change.listed": {
    about: "command",
    meaning: "`change list`: a change, and how many trees were collected",
  },
  "baseline.added": { about: "command", meaning: "`baseline diff`: a tree that only the newer baseline has" },
  "baseline.removed": {
    about: "command",
    meaning: "`baseline diff`: a tree that only the older baseline has",
  },
} as const satisfies Readonly<Record<string, EventNameRow>>;

export type EventName = keyof typeof table;
type About<A extends EventNameRow["about"]> = {
  [N in EventName]: (typeof table)[N]["about"] extends A ? N : never;
}[EventName];
/** Events about treewarden itself. */
export type ChangeName = About<"change">;
/** What others do to treewarden itself, and nobody should. */
export const selfEvents = [
  "self.signaled",
  "self.traced",
  "self.file_changed",
  "self.stalled",
  "sensor.detached",
] as const satisfies readonly ChangeName[];
export type SelfEvent = (typeof selfEvents)[number];
/** What the lines of `--output json` may be. */
export type OutputName = About<"change" | "command">;

/** Every event name and what it means. */
export const eventNames: Readonly<Record<EventName, EventNameRow>> = table;

export function isEventName(name: unknown): name is EventName {
  return typeof name === "string" && Object.hasOwn(table, name);
}
