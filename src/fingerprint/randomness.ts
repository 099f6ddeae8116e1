// How random a path looks: a score from 0 to 1 for each of its elements, and for the path the worst of them.
import type { FoldedElement } from "./fold.ts";
import { logOdds } from "./randomness-model.ts";

/** From this score on a name is called random. */
export const RANDOM_FROM = 0.5;

/**
 * Log odds that mean a score of 0.5: random names are rare among the paths of programs, so a name has to look more
 * random than not. Chosen on the names of docs/fingerprint.md: 1 in 200 unseen names lies above.
 */
const BALANCE = 0.9;
/** A known shape is beyond doubt, a name too short to tell is beyond suspicion. */
const CERTAIN = 12;
const HARMLESS = -12;

/** Shorter names say too little, except where mktemp(3) puts its names: six characters, by its own rule. */
const SHORTEST = 8;
const SHORTEST_TEMPORARY = 6;

/** Places for names that mktemp(3) and its kind make, and what lies below them. */
const temporary =
  /^\/(?:tmp|var\/tmp|dev\/shm|run\/shm|run\/lock|run\/user\/[0-9]+)(?:\/|$)|\/(?:tmp|\.tmp|temp)$/;

const uuid = /[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}/;
const digest =
  /(?<![A-Za-z0-9])(?=[a-fA-F]*[0-9])(?=[0-9]*[a-fA-F])(?:[0-9a-f]{16,}|[0-9A-F]{16,})(?![A-Za-z0-9])/;
/** tmp.XXXXXXXXXX of mktemp(1), tmpXXXXXXXX of Python's tempfile: at least one character that a word would not have there. */
const mktemp =
  /^\.?te?mp[._-](?=[a-z]*[A-Z0-9])[A-Za-z0-9]{6,12}(?:\.\w{1,4})?$|^\.?tmp(?=[a-z]*[0-9_])[a-z0-9_]{8}(?:\.\w{1,4})?$/;
const eightDigits = /^(?!(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:[0-2][0-9]|3[01]))[0-9]{8}$/;
const onlyDigits = /^[0-9]+$/;
const part = /[A-Za-z0-9]+/g;
const base64url = /^[\w-]+$/;
const extension = /\.[A-Za-z0-9]{1,4}$/;

export interface ElementScore {
  /** 0 to 1 */
  readonly score: number;
  readonly why: string;
}

interface Suspicion {
  odds: number;
  why: string;
}

function suspect(name: string, isTemporary: boolean): Suspicion {
  if (uuid.test(name)) return { odds: CERTAIN, why: "a UUID" };
  if (digest.test(name)) return { odds: CERTAIN, why: "a hexadecimal digest" };
  if (isTemporary && mktemp.test(name))
    return { odds: CERTAIN, why: "as mktemp makes it, where it makes them" };
  if (eightDigits.test(name) && new Set(name).size >= 5)
    return { odds: 2, why: "eight digits that are no date" };
  const shortest = isTemporary ? SHORTEST_TEMPORARY : SHORTEST;
  const worst: Suspicion = { odds: HARMLESS, why: `no part of ${shortest} characters or more` };
  if (name.length < shortest) return worst;
  const parts = name.match(part) ?? [];
  for (const text of parts) consider(worst, text, shortest);
  const stem = name.replace(extension, "");
  // A separator may be a digit of base64url. Names that people give with separators in them keep to one case.
  if (parts.length > 1 && base64url.test(stem) && /[A-Z]/.test(stem) && /[a-z]/.test(stem))
    consider(worst, stem, shortest);
  return worst;
}

function consider(worst: Suspicion, text: string, shortest: number): void {
  if (text.length < shortest || onlyDigits.test(text)) return;
  const odds = logOdds(text);
  if (odds <= worst.odds) return;
  worst.odds = odds;
  worst.why = `the letters of ${text}`;
}

function scoreOf(odds: number): number {
  return 1 / (1 + Math.exp(BALANCE - odds));
}

/** Score of a name by itself, as if it lay in the directory `within`. */
export function scoreName(name: string, within = "/"): number {
  return scoreOf(suspect(name, temporary.test(within)).odds);
}

/** Elements vouch against each other from these log odds on: of the path's other elements, and of the element itself. */
const VOUCH_FROM = -3;
const VOUCH_AT_MOST = 8;

/** Scores every element of a path: known shapes were folded before. */
export function scorePath(elements: readonly FoldedElement[]): ElementScore[] {
  const suspicions: Suspicion[] = [];
  let within = "";
  for (const { element, scored } of elements) {
    suspicions.push(suspect(scored, temporary.test(within)));
    within += `/${element}`;
  }
  const worst = Math.max(HARMLESS, ...suspicions.map(({ odds }) => odds));
  return suspicions.map((own) => {
    if (own.odds === worst || own.odds <= HARMLESS || worst <= VOUCH_FROM)
      return { score: scoreOf(own.odds), why: own.why };
    const raised = own.odds + Math.min(VOUCH_AT_MOST, worst - VOUCH_FROM);
    return { score: scoreOf(raised), why: `${own.why}, beside a name that looks random` };
  });
}
