// What is known of a process's program, as fields of a line. The type checker names a fact that has no row.
import { commOf, withComm } from "../acct/accounted-facts.ts";
import type { ProcessFacts } from "../event.ts";
import type { Line, OpenLine } from "./blocks.ts";
import {
  bool,
  environment,
  type Field,
  field,
  nullable,
  optional,
  pid,
  seconds,
  text,
  texts,
  ticks,
  uint32,
  uint64,
  valueIn,
} from "./line-values.ts";

/** Under the vocabulary's names where it has the thing. */
const fields: { readonly [F in keyof ProcessFacts]: Field<ProcessFacts[F]> } = {
  startTicks: field("process.start_ticks", optional(ticks)),
  parentPid: field("process.current_parent_pid", optional(pid)),
  executable: field("process.executable.path", optional(text)),
  executableDeleted: field("process.executable.deleted", optional(bool)),
  executableMemfd: field("process.executable.memfd", optional(bool)),
  executableSetuid: field("process.executable.setuid", optional(bool)),
  executableAge: field("process.executable.age", optional(seconds)),
  filename: field("process.exec.filename", optional(text)),
  script: field("process.exec.script", optional(text)),
  args: field("process.command_args", optional(texts)),
  argsTruncated: field("process.args_truncated", bool),
  cwd: field("process.working_directory", optional(text)),
  uid: field("process.user.id", optional(uint32)),
  realUid: field("process.real_user.id", optional(uint32)),
  gid: field("process.group.id", optional(uint32)),
  loginUid: field("process.login_user.id", optional(nullable(uint32))),
  sessionId: field("process.session_id", optional(uint32)),
  tty: field("process.tty", optional(nullable(text))),
  cgroup: field("process.linux.cgroup", optional(text)),
  device: field("process.executable.device", optional(uint64)),
  inode: field("process.executable.inode", optional(uint64)),
  mountNamespace: field("process.mount_namespace", optional(uint32)),
  pidNamespace: field("process.pid_namespace", optional(uint32)),
  userMounts: field("process.user_mounts", optional(bool)),
  executableTrusted: field("process.executable.trusted", optional(bool)),
  environment: field("process.environment", optional(environment)),
  environmentTruncated: field("process.environment_truncated", optional(bool)),
};
/** The kernel's short name, which is all that process accounting knows. */
const comm = field("process.comm", optional(text));

const names = Object.keys(fields).filter((name): name is keyof ProcessFacts => name in fields);

/** Adds the fields of `facts` to a line; those that are not known are left out of it. */
export function writeFacts(facts: ProcessFacts, line: OpenLine): void {
  for (const name of names) writeFact(line, facts, name);
  const short = commOf(facts);
  if (short !== undefined) line[comm.name] = comm.write(short);
}

function writeFact<F extends keyof ProcessFacts>(line: OpenLine, facts: ProcessFacts, fact: F): void {
  const { name, write } = fields[fact];
  const value = write(facts[fact]);
  if (value !== undefined) line[name] = value;
}

/** The facts in a line. Throws Malformed. */
export function readFacts(line: Line): ProcessFacts {
  const facts: ProcessFacts = {
    startTicks: valueIn(line, fields.startTicks),
    parentPid: valueIn(line, fields.parentPid),
    executable: valueIn(line, fields.executable),
    executableDeleted: valueIn(line, fields.executableDeleted),
    executableMemfd: valueIn(line, fields.executableMemfd),
    executableSetuid: valueIn(line, fields.executableSetuid),
    executableAge: valueIn(line, fields.executableAge),
    filename: valueIn(line, fields.filename),
    script: valueIn(line, fields.script),
    args: valueIn(line, fields.args),
    argsTruncated: valueIn(line, fields.argsTruncated),
    cwd: valueIn(line, fields.cwd),
    uid: valueIn(line, fields.uid),
    realUid: valueIn(line, fields.realUid),
    gid: valueIn(line, fields.gid),
    loginUid: valueIn(line, fields.loginUid),
    sessionId: valueIn(line, fields.sessionId),
    tty: valueIn(line, fields.tty),
    cgroup: valueIn(line, fields.cgroup),
    device: valueIn(line, fields.device),
    inode: valueIn(line, fields.inode),
    mountNamespace: valueIn(line, fields.mountNamespace),
    pidNamespace: valueIn(line, fields.pidNamespace),
    userMounts: valueIn(line, fields.userMounts),
    executableTrusted: valueIn(line, fields.executableTrusted),
    environment: valueIn(line, fields.environment),
    environmentTruncated: valueIn(line, fields.environmentTruncated),
  };
  const short = valueIn(line, comm);
  return short === undefined ? facts : withComm(facts, short);
}
