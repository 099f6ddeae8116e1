// The trees of treewarden's own child processes, which count as known: the reporter's sendmail, if mail is configured.
import { readFileSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import type { BaselineEntry } from "../baseline/entry.ts";
import { scope, scopeOf } from "../baseline/key.ts";
import { parseCgroup } from "../linux/proc/cgroup.ts";
import { SENDMAIL } from "../report/sendmail-path.ts";

/** The programs that sendmail starts to deliver a mail: of Exim, Postfix and nullmailer. */
const helpers = ["/usr/sbin/exim4", "/usr/sbin/postdrop", "/usr/sbin/nullmailer-queue"];

/** The paths of the programs that may run to deliver a mail of the reporter. */
export function mailPrograms(): readonly string[] {
  return [SENDMAIL, resolved(SENDMAIL), ...helpers];
}

/**
 * The trees of a mail that the reporter sends, as baseline entries in treewarden's own scope, below its program. They
 * are incomplete, because the parents of treewarden differ from host to host.
 */
export function mailTrees(own: {
  readonly scope: string;
  readonly name: string;
  readonly sendmail: string;
}): BaselineEntry[] {
  const senders = [...new Set([SENDMAIL, own.sendmail])];
  return senders.flatMap((sender) => [
    entry(own.scope, [own.name, basename(sender)], sender),
    ...helpers.map((helper) => entry(own.scope, [own.name, basename(sender), basename(helper)], helper)),
  ]);
}

function entry(within: string, names: readonly string[], path: string): BaselineEntry {
  const tree = `/${names.join("/")}`;
  const never = { first: 0, last: 0, count: 0, users: [], hosts: 1, executables: [] };
  return {
    ...{ scope: within, habit: tree, exact: tree, beforeHabits: false, path, tree },
    ...{ complete: false, fromMain: true, ...never, contents: "unknown", arguments: undefined },
  };
}

/** `mailTrees` of this process. */
export function ownMailTrees(): BaselineEntry[] {
  const cgroup = readFileSync("/proc/self/cgroup");
  return mailTrees({
    scope: scopeOf(parseCgroup(cgroup, cgroup.length), null, undefined) ?? scope.none,
    name: basename(realpathSync("/proc/self/exe")),
    sendmail: resolved(SENDMAIL),
  });
}

function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
