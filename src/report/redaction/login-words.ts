// Finds the password in a word that is a user with a password, where no option marks it as one.
import type { Span } from "./spans.ts";

/** Accounts that many hosts have, so that `root:...` is more likely a login than any other pair. */
const accounts =
  /^(?:root|admin|administrator|user|guest|test|ubuntu|debian|centos|ec2-user|postgres|mysql|deploy|backup|oracle)$/i;
/** Longer words are no logins. */
const LONGEST_LOGIN = 256;
const LONGEST_USER = 32;

/** The password in a word of the form `user:password` or `user:password@host`. */
export function passwordOfUser(word: string): Span | undefined {
  const colon = word.indexOf(":");
  if (colon < 1 || colon > LONGEST_USER || word.length > LONGEST_LOGIN) return undefined;
  const user = word.slice(0, colon);
  if (!/^[A-Za-z_][\w.-]*$/.test(user) || /^(?:sha|md5|blake)\w*$/i.test(user)) return undefined;
  const start = colon + 1;
  const at = word.lastIndexOf("@");
  if (at > start && isHost(word.slice(at + 1)) && !/[\s/]/.test(word.slice(start, at)))
    return { start, end: at };
  const end = word.length;
  return looksLikePassword(word.slice(start), accounts.test(user)) ? { start, end } : undefined;
}

/** Whether the text behind an `@` is a host with a port and a path, and no digest of an image. */
function isHost(text: string): boolean {
  return /^[\w.-]+(?::\d+)?(?:\/.*)?$/.test(text) && !/^(?:sha\d+|md5):/.test(text);
}

/** Whether a text behind the name of an account, or of anything else, is a password. Versions and ids are none. */
export function looksLikePassword(text: string, isOfAccount: boolean): boolean {
  if (text.length < 6 || /[\s:/\\]/.test(text) || /^v?\d+(?:\.|$)/.test(text)) return false;
  if (!/\d/.test(text) || !/[A-Za-z]/.test(text) || /^[0-9a-f]+$/.test(text)) return false;
  return isOfAccount || (text.length >= 8 && /[a-z]/.test(text) && /[A-Z]/.test(text) && !/[._-]/.test(text));
}

/** The password in `user/password@database`, as Oracle's clients take it. */
export function slashedPassword(word: string): Span | undefined {
  const [before] = /^(?:userid=)?[\w$#.-]+\/(?=[^@/\s]+(?:@|$))/.exec(word.slice(0, LONGEST_LOGIN)) ?? [];
  if (before === undefined) return undefined;
  const at = word.indexOf("@", before.length);
  return { start: before.length, end: at < 0 ? word.length : at };
}
