// The one table of variables: every name that policies, records, OTLP attributes and the output of commands use.
// Whatever needs a list of names derives it from here; `npm run docs` writes docs/variables.md from it.

import { dependencies } from "./dependencies.ts";
import {
  defaultEnvironmentNames,
  ENVIRONMENT_PREFIX,
  type EnvironmentVariable,
  isEnvironmentVariable,
} from "./environment.ts";
import { type JudgedKind, networkKinds } from "./event-kinds.ts";
import { sourcesText } from "./sensors.ts";
import { type JudgedRow, reported, type VariableRow, type VariableType } from "./variable-row.ts";

/** What a process does that is judged; of what its exec reported, an event of the network knows what lasts. */
const uses = ["exec", ...networkKinds] as const;

const table = {
  "event.name": {
    type: "string",
    judged: true,
    kinds: "all",
    dependsOn: [],
    inTests: "derived",
    meaning: "what happened, for example `process.exec`, `policy.verdict` or `sensor.loss`",
  },
  "process.pid": {
    type: "int",
    judged: true,
    kinds: [...uses, "exit", "close"],
    dependsOn: ["exec"],
    inTests: "set",
    otel: true,
    meaning: "process id",
  },
  "process.creation.time": {
    type: "string",
    judged: true,
    kinds: [...uses, "exit", "close"],
    dependsOn: ["exec"],
    inTests: "derived",
    otel: true,
    expensive: true,
    meaning: "when the process was forked, from its start ticks: RFC 3339, UTC",
  },
  "process.parent_pid": {
    type: "int",
    judged: true,
    kinds: [...uses, "exit"],
    dependsOn: ["exec"],
    inTests: "derived",
    otel: true,
    meaning: "process id of the process that forked it, not of a later reaper",
  },
  "process.executable.path": {
    type: "string",
    judged: true,
    kinds: uses,
    dependsOn: ["lineage"],
    inTests: "set",
    otel: true,
    meaning: "absolute path of the executable",
  },
  "process.executable.name": {
    type: "string",
    judged: true,
    kinds: uses,
    dependsOn: ["lineage"],
    inTests: "derived",
    otel: true,
    meaning: "last element of the executable's path",
  },
  "process.command_args": {
    type: "string[]",
    judged: true,
    kinds: ["exec"],
    dependsOn: ["arguments"],
    inTests: "set",
    otel: true,
    meaning: "the arguments, the program's own name first",
  },
  "process.command_line": {
    type: "string",
    judged: true,
    kinds: ["exec"],
    dependsOn: ["arguments"],
    inTests: "derived",
    expensive: true,
    policiesOnly: true,
    meaning: "the arguments joined by a space",
  },
  "process.args_truncated": {
    type: "bool",
    judged: true,
    kinds: ["exec"],
    dependsOn: ["arguments"],
    inTests: "derived",
    meaning: "the arguments were cut at `arguments.limit`, so that rules on them saw a part",
  },
  "process.working_directory": {
    type: "string",
    judged: true,
    kinds: ["exec"],
    dependsOn: ["directory"],
    inTests: "inherited",
    otel: true,
    meaning: "current working directory",
  },
  "process.user.id": {
    type: "int",
    judged: true,
    kinds: [...uses, "close"],
    dependsOn: ["user"],
    inTests: "inherited",
    otel: true,
    meaning: "effective user id",
  },
  "process.user.name": {
    type: "string",
    judged: true,
    kinds: [...uses, "close"],
    dependsOn: ["user", "users"],
    inTests: "inherited",
    otel: true,
    meaning: "name of the effective user",
  },
  "process.real_user.id": {
    type: "int",
    judged: true,
    kinds: uses,
    dependsOn: ["user"],
    inTests: "inherited",
    otel: true,
    meaning: "real user id",
  },
  "process.interactive": {
    type: "bool",
    judged: true,
    kinds: uses,
    dependsOn: ["session"],
    inTests: "derived",
    otel: true,
    meaning: "it has a controlling terminal",
  },
  "process.linux.cgroup": {
    type: "string",
    judged: true,
    kinds: uses,
    dependsOn: ["cgroup"],
    inTests: "inherited",
    otel: true,
    meaning: "path of the control group",
  },
  "process.runnable.path": {
    type: "string",
    judged: true,
    kinds: uses,
    dependsOn: ["lineage"],
    inTests: "derived",
    meaning: "what is really run: the script if there is one, else the executable",
  },
  "process.runnable.changed": {
    type: "bool",
    judged: true,
    kinds: ["exec"],
    dependsOn: ["content"],
    inTests: "set",
    ordinary: false,
    meaning:
      "the baseline knows the program, and its file holds none of the contents that were learned, accepted or listed in `digests`; absent until the examiner has answered",
  },
  "process.script.path": {
    type: "string",
    nullable: true,
    judged: true,
    kinds: uses,
    dependsOn: ["lineage"],
    inTests: "set",
    meaning: "the script that an interpreter runs; null: none",
  },
  "process.script.inline": {
    type: "bool",
    judged: true,
    kinds: uses,
    dependsOn: ["lineage"],
    inTests: "derived",
    meaning: "an interpreter runs code given as an argument or on standard input",
  },
  "process.parent.executable.path": {
    type: "string",
    judged: true,
    kinds: uses,
    dependsOn: ["parent"],
    inTests: "derived",
    meaning: "absolute path of the immediate parent's executable",
  },
  "process.parent.executable.name": {
    type: "string",
    judged: true,
    kinds: uses,
    dependsOn: ["parent"],
    inTests: "derived",
    meaning: "last element of that path",
  },
  "process.parent.user.id": {
    type: "int",
    judged: true,
    kinds: uses,
    dependsOn: ["parent"],
    inTests: "derived",
    meaning: "effective user id of the immediate parent",
  },
  "process.executable.deleted": {
    type: "bool",
    judged: true,
    kinds: uses,
    dependsOn: ["file"],
    inTests: "set",
    ordinary: false,
    meaning: "the executable's file was deleted when the program started",
  },
  "process.executable.memfd": {
    type: "bool",
    judged: true,
    kinds: uses,
    dependsOn: ["program"],
    inTests: "set",
    ordinary: false,
    meaning: "the executable is in memory only: memfd_create(2)",
  },
  "process.executable.setuid": {
    type: "bool",
    judged: true,
    kinds: uses,
    dependsOn: ["file"],
    inTests: "set",
    ordinary: false,
    meaning: "the executable has its set-user-id or set-group-id bit",
  },
  "process.executable.age": {
    type: "number",
    judged: true,
    kinds: ["exec"],
    dependsOn: ["file", "time"],
    inTests: "set",
    meaning: "seconds from the executable's ctime to the exec",
  },
  "process.executable.package": {
    type: "string",
    nullable: true,
    judged: true,
    kinds: ["exec"],
    dependsOn: ["examiner"],
    inTests: "set",
    meaning: "the distribution package that owns the executable; null: none",
  },
  "process.executable.unpackaged": {
    type: "bool",
    judged: true,
    kinds: ["exec"],
    dependsOn: ["examiner"],
    inTests: "set",
    meaning: "the executable is in the host's root, and no package owns it",
  },
  "process.executable.modified": {
    type: "bool",
    judged: true,
    kinds: ["exec"],
    dependsOn: ["examiner"],
    inTests: "set",
    ordinary: false,
    meaning: "the executable is not as its package has it",
  },
  // Stands for one variable for each name that the configuration has, see environment.ts.
  "process.environment_variable.NAME": {
    type: "string",
    nullable: true,
    judged: true,
    kinds: ["exec"],
    dependsOn: ["environment"],
    inTests: "set",
    ordinary: null,
    otel: true,
    meaning: `the environment variable NAME at the exec, for each name in the configuration's \`environment.read\` (default: ${defaultEnvironmentNames.join(", ")}), if a rule asks for one; null: not set, and then no record has it; values of one that is set twice are joined by a colon`,
  },
  "process.environment_truncated": {
    type: "bool",
    judged: true,
    kinds: ["exec"],
    dependsOn: ["environment"],
    inTests: "set",
    ordinary: false,
    meaning:
      "the environment was too large (8 KiB) or could not be read: any of these variables may be set, and all of them are absent",
  },
  "process.in_container": {
    type: "bool",
    judged: true,
    kinds: uses,
    dependsOn: ["cgroup"],
    inTests: "derived",
    meaning: "it runs in a container",
  },
  "process.unit": {
    type: "string",
    nullable: true,
    judged: true,
    kinds: uses,
    dependsOn: ["cgroup"],
    inTests: "inherited",
    ordinary: null,
    meaning: "systemd unit of the control group, folded, for example `postgresql@.service`; null: none",
  },
  "process.login_user.id": {
    type: "int",
    nullable: true,
    judged: true,
    kinds: uses,
    dependsOn: ["session"],
    inTests: "inherited",
    ordinary: null,
    meaning: "login user id of the audit system; null: never set",
  },
  "process.session_id": {
    type: "int",
    judged: true,
    kinds: uses,
    dependsOn: ["session"],
    inTests: "inherited",
    meaning: "session id",
  },
  "process.tty": {
    type: "string",
    nullable: true,
    judged: true,
    kinds: uses,
    dependsOn: ["session"],
    inTests: "inherited",
    ordinary: null,
    meaning: "controlling terminal, for example `pts/0`; null: none",
  },
  "container.id": {
    type: "string",
    nullable: true,
    judged: true,
    kinds: uses,
    dependsOn: ["cgroup"],
    inTests: "inherited",
    ordinary: null,
    otel: true,
    meaning: "container id; null: on the host",
  },
  "container.image.name": {
    type: "string",
    nullable: true,
    judged: true,
    kinds: uses,
    dependsOn: ["cgroup", "examiner"],
    inTests: "inherited",
    otel: true,
    meaning: "image of the container, without its tag; null: on the host",
  },
  "k8s.pod.name": {
    type: "string",
    nullable: true,
    judged: true,
    kinds: uses,
    dependsOn: ["cgroup", "examiner"],
    inTests: "inherited",
    otel: true,
    meaning: "pod of Kubernetes that the container belongs to; null: none",
  },
  "k8s.namespace.name": {
    type: "string",
    nullable: true,
    judged: true,
    kinds: uses,
    dependsOn: ["cgroup", "examiner"],
    inTests: "inherited",
    otel: true,
    meaning: "namespace of that pod; null: none",
  },
  "k8s.container.name": {
    type: "string",
    nullable: true,
    judged: true,
    kinds: uses,
    dependsOn: ["cgroup", "examiner"],
    inTests: "inherited",
    otel: true,
    meaning: "the container's name in that pod; null: no pod",
  },

  "network.transport": {
    type: "string",
    judged: true,
    kinds: [...networkKinds, "close"],
    dependsOn: ["socket"],
    inTests: "event",
    otel: true,
    meaning: "`tcp` (MPTCP too) or `udp` (UDP-Lite too)",
  },
  "network.type": {
    type: "string",
    judged: true,
    kinds: [...networkKinds, "close"],
    dependsOn: ["socket"],
    inTests: "derived",
    otel: true,
    meaning: "`ipv4` or `ipv6`; an IPv4 address that is mapped into IPv6 is `ipv4`",
  },
  "network.peer.address": {
    type: "string",
    judged: true,
    kinds: ["connect", "send", "close"],
    dependsOn: ["socket"],
    inTests: "event",
    address: true,
    otel: true,
    meaning: "address to which the process connects or sends",
  },
  "network.peer.port": {
    type: "int",
    judged: true,
    kinds: ["connect", "send", "close"],
    dependsOn: ["socket"],
    inTests: "event",
    otel: true,
    meaning: "port to which the process connects or sends",
  },
  "destination.name": {
    type: "string",
    nullable: true,
    judged: true,
    kinds: ["connect", "send"],
    dependsOn: ["socket"],
    inTests: "event",
    ordinary: null,
    meaning: "name of the peer's address in one of the files of `network.host_files`; null: none names it",
  },
  "destination.known": {
    type: "bool",
    nullable: true,
    judged: true,
    kinds: ["connect", "send"],
    dependsOn: ["socket", "baseline"],
    inTests: "event",
    meaning:
      "the baseline has the destination for this tree in its scope; null: no destinations were ever accepted; absent while it cannot be told",
  },
  "network.local.address": {
    type: "string",
    judged: true,
    kinds: [...networkKinds, "close"],
    dependsOn: ["socket"],
    inTests: "event",
    address: true,
    otel: true,
    meaning:
      "address on which the process listens, `0.0.0.0` or `::` for all; of a connection often absent, because the kernel chooses it later",
  },
  "network.local.port": {
    type: "int",
    judged: true,
    kinds: [...networkKinds, "close"],
    dependsOn: ["socket"],
    inTests: "event",
    otel: true,
    meaning: "port on which the process listens; of a connection often absent, likewise",
  },
  "network.socket": reported(
    "int",
    [...networkKinds, "close"],
    "the kernel's cookie of the socket, by which `network.close` belongs to the event that opened it",
  ),
  "network.denied": reported("bool", networkKinds, "the kernel refused it by a rule; absent: it did not"),
  "network.result": reported(
    "string",
    ["close"],
    "how a connection ended: `established` (and ended in order), `refused`, `timed_out`, `reset` or `closed` (given up by the process, or a UDP session)",
  ),
  "network.duration": reported(
    "number",
    ["close"],
    "seconds from the connect or the first datagram to the end",
  ),
  "network.datagrams": reported("int", ["close"], "datagrams that a UDP session sent"),

  "tree.path": {
    type: "string",
    judged: true,
    kinds: [...uses, "exit", "close"],
    dependsOn: ["lineage"],
    inTests: "derived",
    meaning: "the tree: the labels from root to leaf",
  },
  "tree.id": {
    type: "string",
    judged: true,
    kinds: [...uses, "exit", "close"],
    dependsOn: ["lineage"],
    inTests: "derived",
    expensive: true,
    meaning: "hash of the tree, the same on every host",
  },
  "tree.exact": {
    type: "string",
    judged: true,
    kinds: uses,
    dependsOn: ["lineage"],
    inTests: "derived",
    meaning: "the exact tree: every runnable's own name instead of `base`",
  },
  "tree.habit": {
    type: "string",
    judged: true,
    kinds: uses,
    dependsOn: ["lineage"],
    inTests: "derived",
    meaning:
      "what a baseline compares: the exact tree without ancestors that are a shell given its code by `-c`",
  },
  "tree.labels": {
    type: "string[]",
    judged: true,
    kinds: uses,
    dependsOn: ["lineage"],
    inTests: "derived",
    meaning: "labels of the tree from root to leaf, without the `/random` prefix",
  },
  "tree.depth": {
    type: "int",
    judged: true,
    kinds: uses,
    dependsOn: ["lineage"],
    inTests: "derived",
    meaning: "how many labels the tree has",
  },
  "tree.user_ids": {
    type: "int[]",
    judged: true,
    kinds: uses,
    dependsOn: ["lineage"],
    inTests: "derived",
    meaning: "effective user ids from root to leaf, equal neighbours collapsed",
  },
  "tree.random": {
    type: "bool",
    judged: true,
    kinds: uses,
    dependsOn: ["lineage"],
    inTests: "derived",
    meaning: "a runnable of the lineage lies on a random path",
  },
  "tree.randomness": {
    type: "number",
    judged: true,
    kinds: uses,
    dependsOn: ["lineage"],
    inTests: "derived",
    meaning: "0 to 1: how random the worst path element of the lineage looks",
  },
  "tree.entropy": {
    type: "number",
    judged: true,
    kinds: uses,
    dependsOn: ["lineage"],
    inTests: "derived",
    meaning: "lowest metric entropy of any path element: bits per byte, divided by its length",
  },
  "tree.known": {
    type: "bool",
    nullable: true,
    judged: true,
    kinds: uses,
    dependsOn: ["lineage", "scope", "baseline"],
    inTests: "derived",
    meaning:
      'the baseline has the habit and the path in this scope; null where no baseline was ever accepted; a test sets it by `"known"`',
  },
  "tree.familiar": {
    type: "bool",
    nullable: true,
    judged: true,
    kinds: uses,
    dependsOn: ["lineage", "baseline"],
    inTests: "derived",
    meaning:
      'the baseline has the tree; null where no baseline was ever accepted; a test sets it by `"known"`',
  },
  "tree.age": {
    type: "number",
    judged: true,
    kinds: uses,
    dependsOn: ["lineage", "scope", "baseline", "time"],
    inTests: "absent",
    meaning: "seconds since the baseline first saw the tree",
  },
  "tree.count": {
    type: "int",
    judged: true,
    kinds: uses,
    dependsOn: ["lineage", "scope", "baseline"],
    inTests: "absent",
    meaning: "how often the baseline saw the tree",
  },
  "tree.complete": {
    type: "bool",
    judged: true,
    kinds: uses,
    dependsOn: ["links"],
    inTests: "derived",
    meaning: "every link of the lineage was seen by an event",
  },
  "tree.truncated": {
    type: "bool",
    judged: true,
    kinds: uses,
    dependsOn: ["lineage"],
    inTests: "derived",
    meaning: "the tree was too long, and its middle is left out",
  },

  "sensor.source": {
    type: "string",
    judged: true,
    kinds: [...uses, "exit", "close", "loss", "change"],
    dependsOn: ["sensor"],
    inTests: "derived",
    meaning: `where the event comes from: ${sourcesText}`,
  },

  timestamp: reported("string", "all", "when it happened: RFC 3339, UTC, microseconds"),
  observed_timestamp: reported(
    "string",
    "all",
    "when treewarden recorded it, which is later than `timestamp`: RFC 3339, UTC, microseconds; over OTLP the observed time",
  ),
  "log.record.uid": { ...reported("string", "all", "unique id of the record"), otel: true },
  "host.id": { ...reported("string", [], "machine id; over OTLP an attribute of the resource"), otel: true },
  "host.name": { ...reported("string", [], "host name; over OTLP an attribute of the resource"), otel: true },
  "error.message": { ...reported("string", ["change"], "what the system or the runtime said"), otel: true },

  "process.ancestor_pids": reported(
    "int[]",
    uses,
    "`policy.verdict`, `tree.new`: process ids of the ancestors, as far as they are known, root first",
  ),
  "process.ancestors": reported(
    "string[]",
    uses,
    "likewise the ancestors, the nearest 16, each a JSON object with the names of this table: what it was when it forked the next one, and as it is at the verdict what only /proc has (arguments if root started it, terminal, login user). Of one that has ended only what it ran, its user and perhaps its pid are known",
  ),
  "process.exit.code": {
    ...reported("int", ["exit"], "exit code; 128 and the signal's number if a signal ended the process"),
    otel: true,
  },

  "policy.action": reported(
    "string",
    uses,
    "action that the verdict demands: `allow`, `alert`, `deny`, `stop` or `kill`",
  ),
  "policy.outcome": reported(
    "string",
    uses,
    "what became of the action: `alerted`, `would_deny`, `denied`, `would_stop`, `stopped`, `would_kill`, `killed`, `withheld`, `silenced` or `failed`",
  ),
  "policy.reason": reported(
    "string",
    uses,
    "why a kill was withheld or failed; `late`: an answer that the rule needs came after the first verdict",
  ),
  "policy.severity": reported(
    "string",
    [...uses, "change"],
    "severity of the rule that decided, or of the change: `low`, `medium`, `high` or `critical`",
  ),
  "policy.tags": reported("string[]", uses, "tags of the rule that decided, for example `attack.t1505.003`"),
  "policy.matched_rules": reported("string[]", uses, "every rule that matched"),
  "policy.count": reported(
    "int",
    uses,
    "how many verdicts the record stands for; the sum over distinct uids is `treewarden_verdicts_total`",
  ),
  "policy.first_uid": reported("string", uses, "`policy.verdict.repeated`: uid of the first verdict"),
  "policy.distinct_arguments": reported(
    "int",
    uses,
    "`policy.verdict.repeated`: how many different arguments there were in this minute, at least",
  ),
  "policy.arguments": reported(
    "string[]",
    uses,
    "`policy.verdict.repeated`: the first of these arguments, each joined by spaces and cut",
  ),
  "policy.undecided_rules": reported("string[]", [], "`explain`: every rule that names an absent variable"),
  "policy.enforcement": reported("string", ["change"], "the enforcement in force: `observe` or `kill`"),
  "evidence.complete": reported(
    "bool",
    ["change"],
    "the examiner has answered in time; if not, only `evidence.open_files` is there",
  ),
  "evidence.executable.digest": reported(
    "string",
    ["change"],
    "`sha256:` and the digest of the file that the process ran, also of a deleted one or a memfd",
  ),
  "evidence.executable.size": reported("int", ["change"], "size of that file in bytes"),
  "evidence.executable.copy": reported(
    "string",
    ["change"],
    "path of a copy of that file, if one was made (`evidence.copy_up_to_megabytes`)",
  ),
  "evidence.environment_names": reported(
    "string[]",
    ["change"],
    "names of its environment variables, at most 96; their values are not read out",
  ),
  "evidence.open_files": reported(
    "string[]",
    ["change"],
    "what its descriptors refer to, at most 64 of them",
  ),
  "evidence.maps": reported(
    "string[]",
    ["change"],
    "files that it has mapped, at most 64, with `x` for code; `x anonymous (N)`: code that is in no file",
  ),
  "evidence.sockets": reported(
    "string[]",
    ["change"],
    "its TCP and UDP sockets, at most 64: address, peer and state",
  ),
  "stop.rule": reported("string", ["change"], "ROLE/RULE that has stopped the tree"),
  "stop.processes": reported("int", ["change"], "live processes of the stopped tree"),
  "stop.continued": reported(
    "int",
    ["change"],
    "how often somebody has continued a process of the stopped tree, at least",
  ),
  "policy.warnings": reported("string[]", ["change"], "rules that can never match under the sensor in use"),
  "policy.errors": reported("string[]", ["change"], "what is wrong with a policy, each with its place"),
  "security_rule.name": {
    ...reported("string", uses, "rule that decided; `default`: none matched"),
    otel: true,
  },
  "security_rule.ruleset.name": {
    ...reported(
      "string",
      [...uses, "change"],
      "role whose file holds the rule; in a change: the role in force",
    ),
    otel: true,
  },
  "security_rule.version": {
    ...reported("string", [...uses, "change"], "version of the policy in force"),
    otel: true,
  },

  "sensor.reason": reported("string", ["change"], "why this sensor is used and not another"),
  "sensor.available": reported("bool", [], "`doctor`: the sensor can be opened here"),
  "sensor.detail": reported("string", [], "`doctor`: what was found when it was opened"),
  "sensor.fix": reported("string", [], "`doctor`: what to do where it cannot be opened"),
  "sensor.forks": reported("bool", [], "`doctor`: the sensor emits an event for each fork"),
  "sensor.exits": reported("bool", [], "`doctor`: the sensor emits an event for each exit"),
  "sensor.network": reported(
    "bool",
    [],
    "`doctor`: the sensor emits connections, UDP sessions and listening sockets",
  ),
  "sensor.user_changes": reported("string", [], "`doctor`: when the sensor emits a change of users"),
  "sensor.arguments": reported("string", [], "`doctor`: when executable and arguments are known"),
  "sensor.scope": reported("string", [], "`doctor`: when control group, session and terminal are known"),
  "sensor.when": reported("string", [], "`doctor`: when the event of an exec is made"),
  "sensor.capabilities": reported("string[]", [], "`doctor`: capabilities that the sensor needs"),
  "sensor.never_known": reported("string[]", [], "`doctor`: variables that the sensor never knows"),
  "self_test.source": reported("string", [], "`doctor --self-test`: the event source that was tested"),
  "self_test.check": reported("string", [], "`doctor --self-test`: what was tested, for example `kill`"),
  "self_test.passed": reported("bool", [], "`doctor --self-test`: it was as it must be"),
  "self_test.detail": reported("string", [], "`doctor --self-test`: what was seen"),
  "sensor.loss.reason": reported(
    "string",
    ["loss"],
    "why events were lost: `overrun`, `restart`, `switch`, or `network` (only events of the network)",
  ),
  "sensor.loss.count": reported("int", ["loss"], "how many events were lost; absent if not known"),
  "configuration.errors": reported(
    "string[]",
    ["change"],
    "what is wrong with the configuration, with its place",
  ),
  "configuration.file": reported("string", ["change"], "file of the configuration"),
  "configuration.digest": reported("string", ["change"], "SHA-256 of that file"),
  "configuration.later": reported(
    "string[]",
    ["change"],
    "settings that were changed and are in force from the next start on",
  ),
  "override.rule": reported("string", ["change"], "the rule that root's order concerns: ROLE/RULE, or `all`"),
  "override.unit": reported("string", ["change"], "only in this unit"),
  "override.user.id": reported("int", ["change"], "only of this effective user"),
  "override.tree": reported("string", ["change"], "only for trees that fit this pattern"),
  "override.number": reported("int", ["change"], "number of the silence"),
  "override.since": reported("string", ["change"], "when it was ordered: RFC 3339, UTC"),
  "override.until": reported("string", ["change"], "when it ends: RFC 3339, UTC; absent: never"),
  "override.reason": reported("string", ["change"], "why it was ordered"),
  "override.ended_by": reported("string", ["change"], "`time`, or `order` of root"),
  "override.by.pid": reported("int", ["change"], "process that ordered it"),
  "override.by.login_user.id": reported("int", ["change"], "its audit login user; null if it has none"),
  "override.by.session_id": reported("int", ["change"], "its audit session; null if it has none"),
  "override.by.tree": reported("string", ["change"], "its exact tree"),
  "rule.observed.seconds": reported(
    "int",
    ["change"],
    "how long the rule was observed as it is now, without loss",
  ),
  "rule.observed.hits": reported(
    "int",
    ["change"],
    "how often the rule as it is now matched what is not known to be new",
  ),
  "override.problems": reported("string[]", ["change"], "files of orders that cannot be used, and why"),
  "self.process": reported(
    "string",
    ["change"],
    "the process of treewarden's that it concerns: `supervisor`, `standby`, `warden`, `reporter` or `examiner`",
  ),
  "self.signal": reported("string", ["change"], "the signal, for example `SIGSTOP`"),
  "self.file": reported("string", ["change"], "the file that was changed"),
  "self.change": reported(
    "string",
    ["change"],
    "what happened to it: `made`, `written`, `replaced`, `removed` or `attributes` (owner, mode, times, links)",
  ),
  "self.ended": reported(
    "string",
    ["change"],
    "how the process ended: a signal, `exit N`, `killed` by the supervisor because it hung, was stopped or lost a link, or `unknown`",
  ),
  "self.seconds": reported("int", ["change"], "for how long the warden did not run"),
  "self.count": reported("int", ["change"], "how often the same was seen since the record before"),
  "self.omitted": reported(
    "int",
    ["change"],
    "how many before it have no record: too many different ones, or too fast",
  ),
  "self.by.pid": reported("int", ["change"], "the process that did it"),
  "self.by.user.id": reported("int", ["change"], "the user of that process"),
  "self.by.executable": reported("string", ["change"], "its executable"),
  "self.by.tree": reported("string", ["change"], "its exact tree"),
  "load.step": reported("string", ["change"], "what is left out while verdicts come late"),
  "load.delay": reported("number", ["change"], "how late the verdict came, in seconds"),
  "resync.found": reported("int", ["change"], "processes that only the scan found"),
  "resync.ended": reported("int", ["change"], "processes that had ended unseen"),
  "resync.changed": reported("int", ["change"], "processes that ran another program than was known"),
  "capture.redacted": reported("bool", ["change"], "arguments and names are replaced in the capture"),
  "capture.reason": reported(
    "string",
    ["change"],
    "why the capture ended: complete, overrun, stopped, refused, or in words",
  ),
  "capture.events": reported("int", ["change"], "events in the capture"),
  "journal.number": reported(
    "int",
    "all",
    "the record's number among the reliable records of its warden, see `treewarden events verify`",
  ),
  "journal.previous": reported("string", "all", "number and seal of the reliable record before it"),
  "journal.seal": reported(
    "string",
    "all",
    "the warden's seal on the record and on `journal.previous`: HMAC-SHA-256, 128 bits of it, hexadecimal",
  ),
  "journal.redacted_seal": reported(
    "string",
    "all",
    "the warden's seal on the fields that redaction may change, as they were before it",
  ),
  "journal.problem": reported(
    "string",
    [],
    "`events verify`: `changed`, `moved`, `missing`, `restarted`, `dropped`, `foreign` or `absent` (a seal that was expected)",
  ),
  "journal.count": reported("int", [], "`events verify`: how many records are missing"),
  "journal.at_least": reported("bool", [], "`events verify`: at least so many"),
  "journal.after": reported(
    "string",
    [],
    "`events verify`: uid of the record itself, or of the one before the gap",
  ),
  "journal.before": reported("string", [], "`events verify`: uid of the record after the gap"),
  "journal.genuine": reported("int", [], "`events verify`: records that are as the warden made them"),
  "journal.redacted": reported("int", [], "`events verify`: those of them whose arguments were redacted"),
  "journal.of_reporter": reported(
    "int",
    [],
    "`events verify`: records that the reporter made, of what it could not write",
  ),
  "journal.unconfirmed": reported(
    "int",
    [],
    "`events verify`: wardens that did not save the end of their chain",
  ),
  "journal.rotated": reported("int", [], "`events verify`: older records that are gone, at least so many"),
  "journal.problems": reported("int", [], "`events verify`: how many problems were found"),
  "report.missing": reported("int", ["change"], "how many records are missing"),
  "report.reason": reported(
    "string",
    ["change"],
    "why records are missing: `dropped` by a full queue; `not_journaled`: exported, but not written; `not_exported`: they left the journal before a collector had them; or `rejected` by a collector",
  ),
  "report.queue": reported("string", ["change"], "the output that will never get them: `export` or `mail`"),
  "report.uid": reported("string", ["change"], "`log.record.uid` of the record that a collector rejected"),
  "event.kind": reported(
    "string",
    [...networkKinds, "change"],
    "kind of the event that a verdict is on, if that is no exec: `connect`, `send` or `listen`; of `warden.fault`, the kind that could not be handled",
  ),

  "base.programs": reported("int", ["change"], "how many programs count as base system"),
  "baseline.trees": reported("int", ["change"], "how many trees there are"),
  "baseline.files": reported(
    "string[]",
    ["change"],
    "baselines that came with the roles, each with its digest",
  ),
  "baseline.errors": reported(
    "string[]",
    ["change"],
    "what is wrong with a baseline or with exclusions, each with its line",
  ),
  "baseline.losses": reported("int", ["change"], "how often events were lost while learning"),
  "baseline.seen_whole": reported(
    "number",
    ["change"],
    "share of the learning time in which no event was missing, from 0 to 1",
  ),
  "baseline.phase": reported("string", [], "`watching`, `learning`, `finished` or `stopped`"),
  "baseline.learning.seconds": reported("int", [], "seconds since learning began, or how long it took"),
  "baseline.learning.left": reported("int", [], "seconds to go"),
  "baseline.learning.losses": reported("int", [], "how often events were lost while learning"),
  "baseline.learning.missed": reported("int", [], "how often there was no room for a tree"),
  "baseline.learning.uncertain": reported(
    "int",
    [],
    "executions that were not learned because a part of their lineage was not seen",
  ),
  "baseline.learning.unreadable": reported("int", [], "programs that could not be read"),
  "baseline.new_per_hour": reported("int[]", [], "new trees in each of the last hours, the latest first"),
  "baseline.settled": reported("bool", [], "the last hours brought no new tree"),
  "system.uptime": reported("int", [], "seconds since the host booted"),
  "baseline.scope": reported("string", [], "scope of the entry: container image or systemd unit; `-`: none"),
  "baseline.first": reported("string", [], "when the entry was first seen: RFC 3339, UTC"),
  "baseline.last": reported("string", [], "when the entry was last seen, likewise"),
  "baseline.hosts": reported("int", [], "how many hosts have the entry"),
  "baseline.executables": reported("string[]", [], "files that were run: path, package and digest"),
  "baseline.contents": reported(
    "string",
    [],
    "contents of the runnable's file: digests, `packaged`, or `varies`",
  ),
  "baseline.arguments": reported("string", [], "arguments of the first exec, redacted"),
  "baseline.exclusion": reported("string", [], "pattern of the exclusion"),
  "baseline.exclusion.until": reported("string", [], "when the exclusion ends: RFC 3339, UTC; absent: never"),
  "baseline.exclusion.reason": reported("string", [], "why the exclusion was made"),

  "change.id": reported(
    "string",
    [...uses, "change"],
    "the change to which a tree that the baseline does not know belongs; `packages`: a package manager started it",
  ),
  "change.under": reported("string[]", ["change"], "programs below which the change window is open"),
  "change.until": reported("string", ["change"], "when the change window ends: RFC 3339, UTC"),
  "change.user_ids": reported("int[]", ["change"], "users to whom the change window is restricted"),
  "change.unknown": reported("int", [], "`change list`: how many of its trees are not in force"),
  "change.open": reported("bool", [], "`change list`: a window of the change is open"),

  "status.running": reported("bool", [], "`status`: a warden runs"),
  "status.degraded": reported(
    "string[]",
    ["change"],
    "`status`, `warden.heartbeat`: why what is in force is not what was asked for; empty if it is",
  ),
  "status.warnings": reported("string[]", [], "`status`: what `doctor` would warn of"),
  "status.changed": reported(
    "string[]",
    [],
    "`status`: files that were changed after they were put into force",
  ),
  "status.reporter": reported(
    "string[]",
    [],
    "`status`: what does not work at the outputs and the endpoint, as the reporter states it",
  ),
  "status.paused": reported("bool", [], "`status`: enforcement is paused"),
  "status.journal.bytes": reported("int", [], "`status`: size of the journal"),
  "status.version": reported("string", ["change"], "`status`, `warden.heartbeat`: version that runs"),
  "status.run.since": reported("string", [], "`status`: when treewarden was started"),
  "status.warden.since": reported("string", [], "`status`: when the warden was started, or started again"),
  "status.may_act": reported("bool", ["change"], "`status`, `warden.heartbeat`: verdicts may act now"),
  "status.armed_rules": reported("string[]", [], "`status`: rules that may act, somewhere at least"),
  "status.stopped": reported("int[]", [], "`status`: a process of each tree that stands still"),
  "status.closed_processes": reported(
    "int",
    ["change"],
    "`status`, `warden.heartbeat`: processes for which the kernel ends what armed rules kill",
  ),
  "status.closed_programs": reported(
    "string[]",
    [],
    "`status`: what closed processes run, the most frequent first",
  ),
  "status.held_rules": reported(
    "string[]",
    [],
    "`status`: rules that the configuration arms and that wait to be confirmed",
  ),
  "status.policy.digest": reported(
    "string",
    ["change"],
    "`status`, `warden.heartbeat`: SHA-256 of the policy in force",
  ),
  "status.policy.since": reported("string", [], "`status`: when the policy was put into force"),
  "status.configuration.file": reported(
    "string",
    [],
    "`status`: file of the configuration in force; absent: the defaults",
  ),
  "status.configuration.digest": reported(
    "string",
    ["change"],
    "`status`, `warden.heartbeat`: SHA-256 of that file",
  ),
  "status.configuration.since": reported("string", [], "`status`: when the configuration was put into force"),
  "status.baseline.digest": reported(
    "string",
    ["change"],
    "`status`, `warden.heartbeat`: SHA-256 of the host's own baseline in force",
  ),
  "status.baseline.since": reported("string", [], "`status`: when the baseline was put into force"),
  "status.lost": reported(
    "int",
    ["change"],
    "`status`, `warden.heartbeat`: events that the warden lost since its start",
  ),
  "status.backlog": reported(
    "int",
    ["change"],
    "`status`, `warden.heartbeat`: records that the journal has not confirmed",
  ),
  "status.arming.digest": reported(
    "string",
    ["change"],
    "`warden.heartbeat`: SHA-256 of the enforcement and of the rules that may act",
  ),
  "status.count.events": reported(
    "int",
    ["change"],
    "`warden.heartbeat`: events from the kernel since the warden's start",
  ),
  "status.count.verdicts": reported("int", ["change"], "`warden.heartbeat`: verdicts since then"),
  "status.count.unattributed": reported(
    "int",
    ["change"],
    "`warden.heartbeat`: unattributed execs since then",
  ),
  "status.count.dropped": reported(
    "int",
    ["change"],
    "`warden.heartbeat`: records that the warden's queues dropped since then",
  ),
  "status.count.resyncs": reported("int", ["change"], "`warden.heartbeat`: scans after a loss since then"),
  "status.epoch": reported("int", ["change"], "`status`, `warden.heartbeat`: number of the epoch"),

  "explain.label": reported("string", [], "label of the process"),
  "explain.name": reported("string", [], "its name in the exact tree"),
  "explain.lineage": reported("string[]", [], "labels of the lineage from root to leaf"),
  "explain.steps": reported("string[]", [], "how the runnable was found"),
  "explain.base": reported("string", [], "why it is, or is not, of the base system"),
  "explain.elements": reported("string[]", [], "each element of the path: its score and what became of it"),
  "explain.folded": reported("string", [], "the runnable's path, folded"),
  "explain.content": reported(
    "string",
    [],
    "whether the content of the runnable's file was accepted, and why it is not compared",
  ),
  "prevention.limited_for": reported(
    "string[]",
    ["change"],
    "`prevention.limited`: the users and containers whose share is used up; empty if it is the host's",
  ),
  "explain.prevention": reported(
    "string[]",
    [],
    "what the kernel lets the process execute, in its own place and as a child",
  ),
  "explain.denial": reported(
    "string",
    [],
    "whether the kernel refuses what the verdict denies, or why it cannot",
  ),
  "explain.baseline": reported("string", [], "whether the baseline knows it, else why not"),
  "check.name": reported("string", [], "what was checked"),
  "check.status": reported("string", [], "`ok`, `missing` or `wrong`"),
  "check.detail": reported("string", [], "what was found"),
  "check.fix": reported("string", [], "what to do about it"),
  "privilege.process": reported("string", [], "`doctor`: the process of treewarden that has the privilege"),
  "privilege.name": reported("string", [], "`doctor`: a capability, or which files or system calls"),
  "privilege.when": reported("string", [], "`doctor`: the settings under which the process has it"),
  "privilege.reason": reported("string", [], "`doctor`: what the process needs it for"),
  "privilege.in_force": reported("bool", [], "`doctor`: it has it with this configuration"),
} as const satisfies Readonly<Record<string, VariableRow>>;

type Table = typeof table;
/** A name that has a row of its own; `process.environment_variable.NAME` has it for all names. */
export type ListedVariable = keyof Table;
type NamesOf<Part> = { [N in ListedVariable]: Table[N] extends Part ? N : never }[ListedVariable];
type ListedJudged = NamesOf<{ readonly judged: true }>;

export type VariableName = ListedVariable | EnvironmentVariable;
/** Known before the verdict. policy/subject.ts has a reader for each. */
export type JudgedVariable = ListedJudged | EnvironmentVariable;
export type ExpensiveVariable = NamesOf<{ readonly expensive: true }>;
/**
 * What a member of a policy test's lineage may give, besides environment variables. policy/test-lineage.ts puts each in
 * its place.
 */
export type TestVariable = Exclude<NamesOf<{ readonly inTests: "set" | "inherited" }>, EnvironmentVariable>;

interface ValuesOfTypes {
  readonly string: string;
  readonly "string[]": readonly string[];
  readonly int: number;
  readonly "int[]": readonly number[];
  readonly number: number;
  readonly bool: boolean;
}

/** What the value of a variable may be where it is known. */
export type ValueOf<N extends ListedVariable> =
  | ValuesOfTypes[Table[N]["type"]]
  | (Table[N] extends { readonly nullable: true } ? null : never);

/** Every name and its row, in the table's order. */
export const variables: Readonly<Record<ListedVariable, VariableRow>> = table;
/** The rows of what rules may name. */
export const judgedRows: Readonly<Record<ListedJudged, JudgedRow>> = table;

function isListed(name: string): name is ListedVariable {
  return Object.hasOwn(table, name);
}

function isListedJudged(name: string): name is ListedJudged {
  return isListed(name) && variables[name].judged;
}

/** The name under which the table has a variable. */
export function listedName(name: JudgedVariable): ListedJudged {
  return isEnvironmentVariable(name) ? ENVIRONMENT_FAMILY : name;
}

const ENVIRONMENT_FAMILY = `${ENVIRONMENT_PREFIX}NAME` as const;

/** The row of what a rule may name. */
export function judgedRow(name: JudgedVariable): JudgedRow {
  return judgedRows[listedName(name)];
}

export function isVariableName(name: string): name is VariableName {
  return isListed(name) || isEnvironmentVariable(name);
}

export function isJudged(name: string): name is JudgedVariable {
  return isListedJudged(name) || isEnvironmentVariable(name);
}

export function isExpensive(name: string): name is ExpensiveVariable {
  return isJudged(name) && judgedRow(name).expensive === true;
}

export function isTestVariable(name: string): name is TestVariable {
  if (!isListedJudged(name) || isEnvironmentVariable(name)) return false;
  const { inTests } = judgedRows[name];
  return inTests === "set" || inTests === "inherited";
}

export const variableNames: readonly ListedVariable[] = Object.keys(table).filter(isListed);
export const judgedNames: readonly ListedJudged[] = variableNames.filter(isListedJudged);

/** The kinds among `kinds` whose events do not have the variable. */
export function kindsWithout(name: JudgedVariable, kinds: readonly JudgedKind[]): readonly JudgedKind[] {
  const has = judgedRow(name).kinds;
  return has === "all" ? [] : kinds.filter((kind) => !has.includes(kind));
}

/** The variable is the same for every event of a kind that shares a lineage. False for what is no variable. */
export function isSharedByLineage(name: string): boolean {
  return isJudged(name) && judgedRow(name).dependsOn.every((one) => dependencies[one].sharedByLineage);
}

/**
 * The variable is most often the same for one exec of a lineage and the next, and comparing its values costs nothing:
 * which file runs, as whom, from which unit. Arguments, times and environments differ.
 */
export function repeats(name: string): boolean {
  if (!isJudged(name) || isExpensive(name)) return false;
  return judgedRow(name).dependsOn.every((one) => dependencies[one].repeats);
}

/** Two execs of one settle key are alike in this variable, see dependencies.ts. */
export function isCoveredBySettleKey(name: JudgedVariable): boolean {
  return judgedRow(name).dependsOn.every((one) => dependencies[one].settleKey !== "missed");
}

/** The variable is known only while the sensor reads environments. */
export function needsEnvironment(name: JudgedVariable): boolean {
  return judgedRow(name).dependsOn.includes("environment");
}

/** The variable is about the content of a file, which must be opened while the process runs it. */
export function needsContent(name: JudgedVariable): boolean {
  return judgedRow(name).dependsOn.includes("content");
}

/** Whether the variable depends on the environment alone. False for a name that is no variable. */
export function isOfEnvironment(name: string): boolean {
  return isJudged(name) && needsEnvironment(name) && judgedRow(name).dependsOn.length === 1;
}

/** The type of a listed name; undefined for another name. */
export function typeOfName(name: string): VariableType | undefined {
  return isListed(name) ? variables[name].type : undefined;
}

/** Over OTLP all names but OpenTelemetry's own, and all names of events, have this prefix. */
export const OTLP_PREFIX = "treewarden.";

/** The name of a record's field as an OTLP attribute. */
export function otlpAttribute(name: string): string {
  const listed = isEnvironmentVariable(name) ? ENVIRONMENT_FAMILY : name;
  return isListed(listed) && variables[listed].otel === true ? name : OTLP_PREFIX + name;
}
