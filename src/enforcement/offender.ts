// Who is killed, and whose share of the kill budget that costs; the same for all else that users compete for.
//
// An attacker must not be able to spend the share of another user, or root's, so a share belongs to an identity that the
// attacker cannot leave:
// - Not the effective user: every user may run set-user-id programs.
// - Not the login user (audit): a process without one may set its own (audit_set_loginuid_perm in kernel/auditsc.c), and
//   a daemon that an administrator starts by hand has the administrator's.
// - Not the real user alone: sudo changes it, and newuidmap(1) lets a user become 65,536 others in a user namespace.
// The lineage shows who let whom become whom. Only root can hand over to another user; so a process belongs to the last
// user to whom a root process handed over, and whatever that user becomes by set-user-id programs or user namespaces
// belongs to the same user. A daemon that changes only its effective user, such as atd(8), hands over too, but not as
// root: so the real user is charged as well. Whatever a container runs belongs to that container, whose root may become
// every user in it.
import { treeOf } from "../fingerprint/tree.ts";
import type { Lineage } from "../forest/lineage.ts";
import type { Payer } from "../vocabulary/shares.ts";

const ROOT = 0;
/** Stands for a user that could not be read: it must not pass for root. */
const UNKNOWN = -1;

export interface Offender {
  /** Equal for kills of the same user, exact tree and rule. */
  readonly key: string;
  /** Whom the kill is charged to; nobody for what root runs on the host. */
  readonly payers: readonly Payer[];
}

/** `rule`: role and id. `realUid`: of the process; undefined if it could not be read. */
export function offenderOf(lineage: Lineage, realUid: number | undefined, rule: string): Offender {
  const payers = payersOf(lineage, realUid);
  return { key: [payers.join(), rule, treeOf(lineage).exact].join("\0"), payers };
}

/** Whom a process is charged to; nobody if root runs it on the host. */
export function payersOf(lineage: Lineage, realUid: number | undefined): readonly Payer[] {
  const owner = ownerOf(lineage);
  if (typeof owner === "string") return [owner];
  const users = new Set([owner, realUid ?? owner]);
  users.delete(ROOT);
  return [...users];
}

/** The container, or the last user to whom a root process handed over; root if it never did. */
export function ownerOf(lineage: Lineage): Payer {
  const nodes: Lineage[] = [];
  for (let node: Lineage | null = lineage; node !== null; node = node.parent) nodes.push(node);
  let owner = ROOT;
  let previous = ROOT;
  for (const { uid = UNKNOWN, container } of nodes.reverse()) {
    if (container !== null && owner === ROOT) return container;
    if (uid !== ROOT && previous === ROOT) owner = uid;
    previous = uid;
  }
  return owner;
}
