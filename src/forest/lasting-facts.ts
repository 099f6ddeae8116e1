// What an exec reports of a process that stays true afterwards, for events that come later: of the network, for example.
import { type ProcessFacts, unknownFacts } from "../sensor/event.ts";

/** Facts that hold from an exec to the next one, and for children until theirs. */
export type LastingFacts = Readonly<
  Pick<
    ProcessFacts,
    | "realUid"
    | "loginUid"
    | "sessionId"
    | "tty"
    | "cgroup"
    | "executableDeleted"
    | "executableMemfd"
    | "executableSetuid"
  >
>;

export const unknownLastingFacts: LastingFacts = pick(unknownFacts);

/** The lasting ones among `facts`; `previous` itself if they are the same, because most execs change none. */
export function lastingFacts(facts: ProcessFacts, previous: LastingFacts): LastingFacts {
  const isSame =
    facts.cgroup === previous.cgroup &&
    facts.realUid === previous.realUid &&
    facts.sessionId === previous.sessionId &&
    facts.tty === previous.tty &&
    facts.loginUid === previous.loginUid &&
    facts.executableDeleted === previous.executableDeleted &&
    facts.executableMemfd === previous.executableMemfd &&
    facts.executableSetuid === previous.executableSetuid;
  return isSame ? previous : pick(facts);
}

/** What is known of a process at an event after its exec. `uid`: its effective user then. */
export function factsAfterExec(
  lasting: LastingFacts,
  { startTicks, uid }: Pick<ProcessFacts, "startTicks" | "uid">,
): ProcessFacts {
  // Each event of the network gets one. The runtime copies an object at once only for the first spread of a literal.
  return {
    ...unknownFacts,
    realUid: lasting.realUid,
    loginUid: lasting.loginUid,
    sessionId: lasting.sessionId,
    tty: lasting.tty,
    cgroup: lasting.cgroup,
    executableDeleted: lasting.executableDeleted,
    executableMemfd: lasting.executableMemfd,
    executableSetuid: lasting.executableSetuid,
    startTicks,
    uid,
  };
}

function pick(facts: LastingFacts): LastingFacts {
  return {
    realUid: facts.realUid,
    loginUid: facts.loginUid,
    sessionId: facts.sessionId,
    tty: facts.tty,
    cgroup: facts.cgroup,
    executableDeleted: facts.executableDeleted,
    executableMemfd: facts.executableMemfd,
    executableSetuid: facts.executableSetuid,
  };
}
