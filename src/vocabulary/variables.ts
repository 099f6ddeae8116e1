// The one vocabulary: every name that policies, JSON lines, OTLP attributes and journal columns use, spelled here only.

import { sourcesText } from "./sensors.ts";

export type VariableType = "string" | "string[]" | "int" | "int[]" | "number" | "bool";

export interface VariableMeaning {
  readonly type: VariableType;
  /** It can really be none (null), which is not the same as unknown (absent). */
  readonly nullable: boolean;
  /** A policy may name it: it is known before the verdict. */
  readonly judged: boolean;
  readonly meaning: string;
}

function always(type: VariableType, meaning: string): VariableMeaning {
  return { type, nullable: false, judged: true, meaning };
}

function perhaps(type: VariableType, meaning: string): VariableMeaning {
  return { type, nullable: true, judged: true, meaning };
}

function told(type: VariableType, meaning: string): VariableMeaning {
  return { type, nullable: false, judged: false, meaning };
}

const table = {
  "event.name": always("string", "what happened: process.exec, process.exit, policy.verdict, sensor.loss..."),
  timestamp: told("string", "when it happened: RFC 3339, UTC, microseconds"),
  "log.record.uid": told("string", "unique id of this record"),
  "host.id": told("string", "machine id"),
  "host.name": told("string", "host name"),

  "process.pid": always("int", "process id"),
  "process.creation.time": always("string", "start of the process: RFC 3339, UTC, from its start ticks"),
  "process.parent_pid": always("int", "process id of the one that forked it"),
  "process.executable.path": always("string", "absolute path of the executable"),
  "process.executable.name": always("string", "last element of the executable's path"),
  "process.command_args": always("string[]", "the arguments, the program's own name first"),
  "process.command_line": always("string", "the arguments joined by a space; for policies only"),
  "process.working_directory": always("string", "current working directory"),
  "process.user.id": always("int", "effective user id"),
  "process.user.name": always("string", "effective user's name"),
  "process.real_user.id": always("int", "real user id"),
  "process.exit.code": told("int", "exit code"),
  "process.interactive": always("bool", "has a terminal"),
  "process.linux.cgroup": always("string", "path of the control group"),
  "process.runnable.path": always("string", "what is really run: the script if any, else the executable"),
  "process.script.path": perhaps("string", "the script that an interpreter runs; null if none"),
  "process.script.inline": always("bool", "code given as an argument or on standard input"),
  "process.parent.executable.path": always("string", "the immediate parent's executable"),
  "process.parent.executable.name": always("string", "last element of the immediate parent's executable"),
  "process.parent.user.id": always("int", "the immediate parent's effective user id"),
  "process.executable.deleted": always("bool", "runs from a deleted file"),
  "process.executable.memfd": always("bool", "runs from memory (memfd_create(2))"),
  "process.executable.setuid": always("bool", "the file has its set-user-id or set-group-id bit"),
  "process.executable.age": always("number", "seconds since the file's ctime"),
  "process.executable.package": perhaps("string", "the distribution package that owns it; null if none"),
  "process.executable.unpackaged": always("bool", "in the host's root, and no package owns it"),
  "process.executable.modified": always("bool", "not as its package has it"),
  "process.in_container": always("bool", "runs in a container"),
  "process.unit": perhaps("string", "systemd unit from the control group, folded; null if none"),
  "process.login_user.id": perhaps("int", "audit login user id; null if none was ever set"),
  "process.session_id": always("int", "session id"),
  "process.tty": perhaps("string", "controlling terminal such as pts/0; null if none"),
  "container.id": perhaps("string", "container id; null on the host"),
  "container.image.name": perhaps("string", "container image without its tag; null on the host"),

  "tree.path": always("string", "the tree"),
  "tree.id": always("string", "the tree's hash"),
  "tree.exact": always("string", "the exact tree"),
  "tree.labels": always("string[]", "the tree's labels root to leaf, without the /random prefix"),
  "tree.depth": always("int", "how many labels"),
  "tree.user_ids": always("int[]", "effective user ids root to leaf, equal neighbours collapsed"),
  "tree.random": always("bool", "a runnable of the lineage lies on a random path"),
  "tree.randomness": always("number", "0 to 1: score of the worst path element of the lineage"),
  "tree.entropy": always(
    "number",
    "lowest metric entropy of any path element, bits per byte divided by length",
  ),
  "tree.known": always("bool", "in the baseline: same scope, exact tree and path"),
  "tree.familiar": always("bool", "in the baseline by its folded tree"),
  "tree.age": always("number", "seconds since the baseline first saw it"),
  "tree.count": always("int", "how often the baseline saw it"),
  "tree.complete": always("bool", "every link of the lineage was seen by an event"),
  "tree.truncated": always("bool", "the tree was too long: its middle is left out"),

  "policy.action": told("string", "allow, alert or kill"),
  "policy.outcome": told("string", "what became of the action"),
  "policy.reason": told("string", "why, from a closed list"),
  "policy.severity": told("string", "of the rule that decided: low, medium, high, critical"),
  "policy.tags": told("string[]", "of the rule that decided, such as attack.t1505.003"),
  "policy.matched_rules": told("string[]", "every rule that matched"),
  "security_rule.name": told("string", "the rule that decided"),
  "security_rule.ruleset.name": told("string", "the role whose file holds the rule"),
  "security_rule.version": told("string", "version of the policy in force"),

  "sensor.source": always("string", `where the event comes from: ${sourcesText}`),
} as const;

export type VariableName = keyof typeof table;

/** Every name of the vocabulary and what it means. */
export const vocabulary: Readonly<Record<VariableName, VariableMeaning>> = table;

export function isVariableName(name: string): name is VariableName {
  return Object.hasOwn(table, name);
}

/** Every name in the vocabulary's order. */
export const variableNames: readonly VariableName[] = Object.keys(table).filter(isVariableName);
