// Scores how random a path looks: each element gets a score from 0 to 1, and the path gets the highest of them.
import { logOdds } from "./randomness-model.ts";
import { isMadeOfWords } from "./randomness-words.ts";

/** A name with this score or a higher one is called random. */
export const RANDOM_FROM = 0.5;

/**
 * Log odds that give a score of 0.5. It is above 0 because random names are rare among the paths of programs. Chosen on
 * the names of docs/fingerprint.md, where 1 in 300 unseen names lies above it.
 */
const BALANCE = 0.5;
/** Log odds of a name with a known random shape, and of a name that is too short to be judged. */
const CERTAIN = 12;
const HARMLESS = -12;

/** Shortest name that is judged; in a temporary directory mktemp(3) makes random parts of six characters. */
const MIN_LENGTH = 8;
const MIN_LENGTH_TEMPORARY = 6;

/** Directories where mktemp(3) and similar functions create files, and everything below them. */
const temporaryRoot = /^\/(?:tmp|var\/tmp|dev\/shm|run\/shm|run\/lock|run\/user\/[0-9]+)(?:\/|$)/;

/** Whether the directory `within`, an unfolded path, is made for temporary files. */
export function isTemporaryDirectory(within: string): boolean {
  const isNamedSo = within.endsWith("/tmp") || within.endsWith("/.tmp") || within.endsWith("/temp");
  return isNamedSo || temporaryRoot.test(within);
}

const belowTemporary = /\/(?:\.?tmp|temp)\//;

/** Whether `path`, unfolded, lies at any depth below such a directory. */
export function isBelowTemporaryDirectory(path: string): boolean {
  return belowTemporary.test(path) || temporaryRoot.test(path);
}

const uuid = /[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}/;
const digest =
  /(?<![A-Za-z0-9])(?=[a-fA-F]*[0-9])(?=[0-9]*[a-fA-F])(?:[0-9a-f]{16,}|[0-9A-F]{16,})(?![A-Za-z0-9])/;
/** tmp.XXXXXXXXXX of mktemp(1), with at least one upper-case letter or digit, which an ordinary word would not have. */
const mktemp = /^\.?te?mp[._-](?=[a-z]*[A-Z0-9])[A-Za-z0-9]{6,12}(?:\.\w{1,4})?$/;
/** tmpXXXXXXXX of Python's tempfile. */
const tempfile = /^\.?tmp(?=[a-z]*[0-9_])([a-z0-9_]{8})(?:\.\w{1,4})?$/;
const digits = /^(?!(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:[0-2][0-9]|3[01]))[0-9]{8,9}$/;
const onlyDigits = /^[0-9]+$/;
/** A word with a long number, or a date and time: the number of a job or a version, not a random text. */
const numbered = /^(?:[A-Za-z]*[g-zG-Z][A-Za-z]*[0-9]{5,}|(?:19|20)[0-9]{6}T[0-9]{4,6}Z?)$/;
const part = /[A-Za-z0-9]+/g;
const base64url = /^[\w-]+$/;
/** Underscores around a word, as in `__main__`. */
const edges = /^[_-]+|[_-]+$/g;
const extension = /\.[A-Za-z0-9]{1,4}$/;

/** How random one element of a path looks. */
export interface ElementScore {
  /** From 0 to 1. */
  readonly score: number;
  readonly why: string;
}

/** How random a name looks by itself. */
export interface Suspicion {
  /** Log odds that the name is random. */
  readonly odds: number;
  /** Log odds to start from if another element of the path looks random. */
  readonly loose: number;
  readonly why: string;
}

/** Of a name that is not scored, because its user makes too many of them: it is random by any measure. */
export const unscored: Suspicion = {
  odds: CERTAIN,
  loose: CERTAIN,
  why: "one of more new names a second than one user's names are scored",
};

type Worst = { -readonly [K in keyof Suspicion]: Suspicion[K] };

function certainly(odds: number, why: string): Worst {
  return { odds, loose: odds, why };
}

/** Judges a name by itself. Known shapes must have been folded before. `isTemporary`: in a temporary directory. */
export function suspect(name: string, isTemporary: boolean): Suspicion {
  if (uuid.test(name)) return certainly(CERTAIN, "a UUID");
  if (digest.test(name)) return certainly(CERTAIN, "a hexadecimal digest");
  if (isTemporary && mktemp.test(name)) return certainly(CERTAIN, "as mktemp makes it, where it makes them");
  const letters = tempfile.exec(name)?.[1]?.replace(/[0-9_]+/g, "");
  // `tmp_cleanup` has the same shape, but its letters are a word.
  if (letters !== undefined && (letters.length < 5 || !isMadeOfWords(letters)))
    return certainly(isTemporary ? CERTAIN : 2, "as Python's tempfile makes it");
  if (digits.test(name) && new Set(name).size >= 5)
    return certainly(2, "eight or nine digits that are no date");
  const shortest = isTemporary ? MIN_LENGTH_TEMPORARY : MIN_LENGTH;
  const worst = certainly(HARMLESS, `no part of ${shortest} characters or more`);
  if (name.length < shortest) return worst;
  const parts = name.match(part) ?? [];
  for (const text of parts) consider(worst, text, shortest, true);
  const stem = name.replace(extension, "");
  // `-` and `_` are digits of base64url as well. Names that people write with separators keep to one case.
  if (stem !== parts[0] && base64url.test(stem)) {
    const isMixed = /[A-Z]/.test(stem) && /[a-z]/.test(stem);
    const isWord = !isMixed && !/[0-9]/.test(stem);
    consider(worst, isWord ? stem.replace(edges, "") : stem, shortest, isMixed);
  }
  return worst;
}

function consider(worst: Worst, text: string, shortest: number, isStrict: boolean): void {
  if (text.length < shortest || onlyDigits.test(text)) return;
  const odds = logOdds(text);
  // Skip the search for words if not even the most random neighbour could raise this text to random.
  if (odds + MAX_RAISE > BALANCE && isMadeOfWords(text)) return;
  worst.loose = Math.max(worst.loose, odds);
  if (!isStrict || odds <= worst.odds || numbered.test(text)) return;
  worst.odds = odds;
  worst.why = `the letters of ${text}`;
}

/** From 0 to 1. */
export function scoreOf(odds: number): number {
  return 1 / (1 + Math.exp(BALANCE - odds));
}

/**
 * If the most random element of a path has log odds above RAISE_FROM, the odds of the other elements are raised by the
 * difference, at most by MAX_RAISE.
 */
const RAISE_FROM = -3;
const MAX_RAISE = 6;

/** Whether an element with these log odds raises those of its neighbours; no other can be random itself. */
export function raises(worst: number): boolean {
  return worst > RAISE_FROM;
}

/** The score of a name in a path where `worst` is the highest log odds of any element that was scored. */
export function scoreBeside(suspicion: Suspicion, worst: number): number {
  const { odds, loose } = suspicion;
  if (odds === worst || suspicion === unscored || loose <= HARMLESS || worst <= RAISE_FROM)
    return scoreOf(odds);
  return scoreOf(loose + Math.min(MAX_RAISE, worst - RAISE_FROM));
}

/** The score of every element of a path, and why. */
export function scoresOf(suspicions: readonly Suspicion[]): ElementScore[] {
  const worst = worstOf(suspicions);
  return suspicions.map((suspicion) => {
    const score = scoreBeside(suspicion, worst);
    const isRaised = score !== scoreOf(suspicion.odds);
    return { score, why: isRaised ? `${suspicion.why}, beside a name that looks random` : suspicion.why };
  });
}

/** A name without a score is no evidence about its neighbours. */
function worstOf(suspicions: readonly Suspicion[]): number {
  let worst = HARMLESS;
  for (const one of suspicions) if (one !== unscored) worst = Math.max(worst, one.odds);
  return worst;
}

/** Whether a name is called random in a path with these highest log odds. One that was not scored keeps its name. */
export function looksRandom(suspicion: Suspicion, worst: number): boolean {
  return suspicion !== unscored && worst > RAISE_FROM && scoreBeside(suspicion, worst) >= RANDOM_FROM;
}
