// How random a path looks: a score from 0 to 1 for each of its elements, and for the path the worst of them.
import type { FoldedElement } from "./fold.ts";
import { logOdds } from "./randomness-model.ts";
import { isMadeOfWords } from "./randomness-words.ts";

/** From this score on a name is called random. */
export const RANDOM_FROM = 0.5;

/**
 * Log odds that mean a score of 0.5: random names are rare among the paths of programs, so a name has to look more
 * random than not. Chosen on the names of docs/fingerprint.md: 1 in 300 unseen names lies above.
 */
const BALANCE = 0.5;
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
/** tmp.XXXXXXXXXX of mktemp(1), with at least one character that a word would not have there. */
const mktemp = /^\.?te?mp[._-](?=[a-z]*[A-Z0-9])[A-Za-z0-9]{6,12}(?:\.\w{1,4})?$/;
/** tmpXXXXXXXX of Python's tempfile; `tmp_cleanup` is none. */
const tempfile = /^\.?tmp(?=[a-z]*[0-9_])([a-z0-9_]{8})(?:\.\w{1,4})?$/;
const digits = /^(?!(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:[0-2][0-9]|3[01]))[0-9]{8,9}$/;
const onlyDigits = /^[0-9]+$/;
/** A word with a long number: a date, a job, a version. */
const numbered = /^(?:[A-Za-z]*[g-zG-Z][A-Za-z]*[0-9]{5,}|(?:19|20)[0-9]{6}T[0-9]{4,6}Z?)$/;
const part = /[A-Za-z0-9]+/g;
const base64url = /^[\w-]+$/;
/** Of `__main__`, which is a word all the same. */
const edges = /^[_-]+|[_-]+$/g;
const extension = /\.[A-Za-z0-9]{1,4}$/;

export interface ElementScore {
  /** 0 to 1 */
  readonly score: number;
  readonly why: string;
}

interface Suspicion {
  odds: number;
  /** What the odds are raised from beside a name that looks random. */
  loose: number;
  why: string;
}

function certainly(odds: number, why: string): Suspicion {
  return { odds, loose: odds, why };
}

function suspect(name: string, isTemporary: boolean): Suspicion {
  if (uuid.test(name)) return certainly(CERTAIN, "a UUID");
  if (digest.test(name)) return certainly(CERTAIN, "a hexadecimal digest");
  if (isTemporary && mktemp.test(name)) return certainly(CERTAIN, "as mktemp makes it, where it makes them");
  const drawn = tempfile.exec(name)?.[1]?.replace(/[0-9_]+/g, "");
  if (drawn !== undefined && (drawn.length < 5 || !isMadeOfWords(drawn)))
    return certainly(isTemporary ? CERTAIN : 2, "as Python's tempfile makes it");
  if (digits.test(name) && new Set(name).size >= 5)
    return certainly(2, "eight or nine digits that are no date");
  const shortest = isTemporary ? SHORTEST_TEMPORARY : SHORTEST;
  const worst = certainly(HARMLESS, `no part of ${shortest} characters or more`);
  if (name.length < shortest) return worst;
  const parts = name.match(part) ?? [];
  for (const text of parts) consider(worst, text, shortest, true);
  const stem = name.replace(extension, "");
  // A separator may be a digit of base64url. Names that people give with separators in them keep to one case.
  if (stem !== parts[0] && base64url.test(stem)) {
    const isMixed = /[A-Z]/.test(stem) && /[a-z]/.test(stem);
    const isWord = !isMixed && !/[0-9]/.test(stem);
    consider(worst, isWord ? stem.replace(edges, "") : stem, shortest, isMixed);
  }
  return worst;
}

function consider(worst: Suspicion, text: string, shortest: number, isStrict: boolean): void {
  if (text.length < shortest || onlyDigits.test(text)) return;
  const odds = logOdds(text);
  // Where not even the worst neighbour could make it random there is nothing to look up.
  if (odds + VOUCH_AT_MOST > BALANCE && isMadeOfWords(text)) return;
  worst.loose = Math.max(worst.loose, odds);
  if (!isStrict || odds <= worst.odds || numbered.test(text)) return;
  worst.odds = odds;
  worst.why = `the letters of ${text}`;
}

function scoreOf(odds: number): number {
  return 1 / (1 + Math.exp(BALANCE - odds));
}

/** Elements vouch against each other from these log odds on: of the path's other elements, and of the element itself. */
const VOUCH_FROM = -3;
const VOUCH_AT_MOST = 6;

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
    if (own.odds === worst || own.loose <= HARMLESS || worst <= VOUCH_FROM)
      return { score: scoreOf(own.odds), why: own.why };
    const raised = own.loose + Math.min(VOUCH_AT_MOST, worst - VOUCH_FROM);
    return { score: scoreOf(raised), why: `${own.why}, beside a name that looks random` };
  });
}
