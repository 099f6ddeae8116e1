// What treewarden starts itself is no news to it: the reporter's sendmail, where mail is configured.
import { readFileSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import type { BaselineEntry } from "../baseline/entry.ts";
import { scope, scopeOf } from "../baseline/key.ts";
import { parseCgroup } from "../linux/proc/cgroup.ts";
import { SENDMAIL } from "../report/sendmail-path.ts";

/** What sendmail goes on to start to hand its mail over: Exim's delivery, Postfix's queue, nullmailer's queue. */
const helpers = ["/usr/sbin/exim4", "/usr/sbin/postdrop", "/usr/sbin/nullmailer-queue"];

/**
 * The trees of a mail that the reporter sends, as a baseline has them: in treewarden's own scope, below the program
 * that runs as treewarden. Incomplete, because what started treewarden differs from host to host.
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
  return { scope: within, exact: tree, path, tree, complete: false, ...never, arguments: undefined };
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
