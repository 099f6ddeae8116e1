// The lasting facts of processes as a saved forest and a snapshot have them.
import * as v from "valibot";
import type { LastingFacts } from "./lasting-facts.ts";

const whole = v.pipe(v.number(), v.integer(), v.minValue(0));

export const savedFacts = v.object({
  real_uid: v.exactOptional(whole),
  login_uid: v.exactOptional(v.nullable(whole)),
  session_id: v.exactOptional(whole),
  tty: v.exactOptional(v.nullable(v.string())),
  cgroup: v.exactOptional(v.string()),
  deleted: v.exactOptional(v.boolean()),
  memfd: v.exactOptional(v.boolean()),
  setuid: v.exactOptional(v.boolean()),
});
export type SavedFacts = v.InferOutput<typeof savedFacts>;

/** Facts that are written once each, with the number by which processes refer to them. */
export class FactsList {
  private readonly numbers = new Map<LastingFacts, number>();

  numberOf(facts: LastingFacts): number {
    const known = this.numbers.get(facts);
    if (known !== undefined) return known;
    this.numbers.set(facts, this.numbers.size);
    return this.numbers.size - 1;
  }

  /** By their numbers. */
  saved(): readonly SavedFacts[] {
    return [...this.numbers.keys()].map(encodeFacts);
  }
}

function encodeFacts(facts: LastingFacts): SavedFacts {
  const fields: { readonly [name in keyof SavedFacts]: SavedFacts[name] | undefined } = {
    real_uid: facts.realUid,
    login_uid: facts.loginUid,
    session_id: facts.sessionId,
    tty: facts.tty,
    cgroup: facts.cgroup,
    deleted: facts.executableDeleted,
    memfd: facts.executableMemfd,
    setuid: facts.executableSetuid,
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

export function decodeFacts(saved: SavedFacts): LastingFacts {
  return {
    realUid: saved.real_uid,
    loginUid: saved.login_uid,
    sessionId: saved.session_id,
    tty: saved.tty,
    cgroup: saved.cgroup,
    executableDeleted: saved.deleted,
    executableMemfd: saved.memfd,
    executableSetuid: saved.setuid,
  };
}
