// Sessions in which nothing is closed or killed, so that no policy locks out who has to repair it: those of the configured
// rescue user, and those of root on the console.
//
// A process without a login user may set its own (audit_set_loginuid_perm in kernel/auditsc.c), so that alone proves nothing:
// the lineage must show that root handed over to the rescue user, or to nobody. The number of a session, by contrast, cannot
// be chosen, and whatever the session starts keeps it.
import { ownerOf } from "../enforcement/offender.ts";
import type { Lineage } from "../forest/lineage.ts";
import type { Process } from "../forest/process.ts";

const ROOT = 0;
/** Virtual and serial consoles, by the kernel's names. Nobody can give a pseudo-terminal one of these. */
const console = /^(?:tty\d+|ttyS\d+|ttyAMA\d+|hvc\d+)$/;
/** Sessions that are remembered; the one that was seen first is forgotten, and found again by its shell. */
const SESSIONS = 1_024;

export class SparedSessions {
  private readonly rescueUid: number | undefined;
  /** Numbers of spared sessions (audit), with their login user. */
  private readonly sessions = new Map<number, number>();

  /** `rescueUid`: undefined if none is configured. */
  constructor(rescueUid: number | undefined) {
    this.rescueUid = rescueUid;
  }

  /** Whether the process belongs to a spared session. Of nearly every process, its login user answers it. */
  includes(process: Pick<Process, "facts" | "lineage">): boolean {
    const { loginUid, sessionId, tty } = process.facts;
    if (typeof loginUid !== "number" || (loginUid !== ROOT && loginUid !== this.rescueUid)) return false;
    if (typeof sessionId === "number" && this.sessions.get(sessionId) === loginUid) return true;
    const isSpared =
      loginUid === this.rescueUid
        ? wasHandedTo(process.lineage, loginUid)
        : ownerOf(process.lineage) === ROOT && typeof tty === "string" && console.test(tty);
    if (isSpared && typeof sessionId === "number") this.remember(sessionId, loginUid);
    return isSpared;
  }

  private remember(session: number, loginUid: number): void {
    if (this.sessions.size >= SESSIONS) {
      const [first] = this.sessions.keys();
      if (first !== undefined) this.sessions.delete(first);
    }
    this.sessions.set(session, loginUid);
  }
}

/** Whether, on the host, a process of root's let one run as this user; whether nobody else did, if it is root. */
function wasHandedTo(lineage: Lineage, uid: number): boolean {
  if (uid === ROOT) return ownerOf(lineage) === ROOT;
  for (let node: Lineage | null = lineage; node !== null; node = node.parent)
    if (node.uid === uid && node.container === null && (node.parent === null || node.parent.uid === ROOT))
      return true;
  return false;
}
