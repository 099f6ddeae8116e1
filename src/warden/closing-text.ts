// What of a process is closed, in words.
import type { Closing } from "../policy/closing.ts";

/** Lines for a person: what the process may execute in its own place, and its children. */
export function closingTexts({
  own,
  child,
}: {
  readonly own: Closing;
  readonly child: Closing;
}): readonly string[] {
  return [...lines("in its own place", own), ...lines("as a child", child)];
}

function lines(place: string, closing: Closing): readonly string[] {
  if (!closing.closed) return [`${place}: open, user space decides: ${closing.why}`];
  const { rule, uid, carriersDie, exceptions } = closing;
  const whose = uid === undefined ? "" : ` as user ${uid}`;
  const what = exceptions.length === 0 ? "everything" : "everything else";
  const carriers = carriersDie ? ", interpreters too" : "; interpreters of root's are decided by user space";
  return [
    ...exceptions.map(({ path }) => `${place}: ${path} may run`),
    `${place}: ${what}${whose} dies by ${rule}${carriers}`,
  ];
}
