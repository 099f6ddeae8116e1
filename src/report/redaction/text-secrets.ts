// Finds secrets in any text by what stands before them: names, headers, URLs, SQL, calls in source code.
import { isHarmlessValue, isReference, isSecretName } from "./secret-names.ts";
import type { Span } from "./spans.ts";
import { tokensIn } from "./token-shapes.ts";

// Texts are hostile: each finder takes linear time. It searches for a fixed text or character and examines a bounded
// number of characters before it, and those behind it only up to where the next search begins.

/** The secrets in a text that is an argument or the value of a quoted word. */
export function secretsInText(text: string): readonly Span[] {
  const spans: Span[] = [...tokensIn(text)];
  if (/[:=]/.test(text)) {
    if (text.includes("://")) spans.push(...urlSecrets(text));
    if (headerHint.test(text)) spans.push(...headerSecrets(text));
    spans.push(...assignedSecrets(text));
  }
  if (/bearer|basic/i.test(text)) spans.push(...bearerSecrets(text));
  if (/ass|ident|secret/i.test(text)) spans.push(...sqlSecrets(text), ...sentSecrets(text));
  if (text.includes("</")) spans.push(...elementSecrets(text));
  if (text.includes(":thin:")) spans.push(...oracleSecrets(text));
  if (text.includes("(")) spans.push(...callSecrets(text));
  return spans;
}

/** The most characters before a separator that are taken as a name. */
const LONGEST_NAME = 64;

/** `name=secret`, `name: secret`, `"name": "secret"`, `name => 'secret'`. */
function* assignedSecrets(text: string): Generator<Span> {
  for (let i = nextSeparator(text, 0); i >= 0; ) {
    let after = i + 1;
    const name = nameBefore(text, i);
    if (name !== "" && !text.startsWith("://", i)) {
      const span = assignedValue(text, i, name);
      if (span !== undefined) {
        yield span;
        after = span.end;
      }
    }
    i = nextSeparator(text, after);
  }
}

function nextSeparator(text: string, start: number): number {
  for (let i = start; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === 0x3d || code === 0x3a) return i;
  }
  return -1;
}

/** The name before a separator, without quotes and brackets. */
function nameBefore(text: string, separator: number): string {
  let end = separator;
  for (const least = end - 8; end > least && /[\s"'\\\]:]/.test(text.charAt(end - 1)); ) end -= 1;
  let start = end;
  for (const least = end - LONGEST_NAME; start > least && /[\w.$-]/.test(text.charAt(start - 1)); )
    start -= 1;
  return text.slice(Math.max(0, start), end);
}

/** Parameters of URLs whose values are secrets, although the names need not denote one elsewhere. */
const secretParameter =
  /^(?:sig|signature|x-(?:amz|goog|ms)-(?:signature|credential|security-token)|key|auth|jwt|sid|session|sessionid|ticket|code|hmac)$/i;
/** Variables in source code. `$p` is what a short script calls its password. */
const secretVariable = /^\$(?:p|pw|pwd|pass)$/;

function assignedValue(text: string, separator: number, name: string): Span | undefined {
  const isParameter = isParameterAt(text, separator - name.length - 1) && secretParameter.test(name);
  const isAuth = /^_?auth$/i.test(name);
  if (!isParameter && !isAuth && !isSecretName(name) && !secretVariable.test(name)) return undefined;
  // A value that is no secret is read again for the next name in it, so only its beginning decides that.
  const beginning = text.slice(0, separator + DECIDING);
  const span = valueAt(beginning, separator + 1);
  if (span === undefined) return undefined;
  const value = beginning.slice(span.start, span.end);
  if (isHarmlessValue(name, value)) return undefined;
  // `code=200` is a number, `auth: basic` is a word.
  const needsLook = isAuth || (isParameter && /^(?:key|code|session)$/i.test(name));
  return needsLook && !looksRandom(value) ? undefined : valueAt(text, separator + 1);
}

/** The characters of a value that decide whether it is a secret. */
const DECIDING = 128;

/** Whether a value is long and has digits among its letters. */
function looksRandom(value: string): boolean {
  return value.length >= 8 && /\d/.test(value) && /[A-Za-z]/.test(value);
}

function isParameterAt(text: string, index: number): boolean {
  return index >= 0 && /[?&;]/.test(text.charAt(index));
}

/** The value that begins at `start`, after white space: between its quotes, or up to what ends a value without quotes. */
function valueAt(text: string, start: number): Span | undefined {
  let i = start;
  while (i < text.length && i < start + 8 && /[\s>=]/.test(text.charAt(i))) i += 1;
  const quoted = /(?:[bruf]|\$)?(\\*["'])/y;
  quoted.lastIndex = i;
  const [opening, quote = ""] = quoted.exec(text) ?? [];
  if (opening !== undefined) return insideQuotes(text, i + opening.length, quote);
  const end = endOfPlain(text, i);
  return end > i ? { start: i, end } : undefined;
}

/**
 * The text from `start` to the closing quote. A quote behind a backslash does not close, unless the opening one had one
 * too.
 */
function insideQuotes(text: string, start: number, quote: string): Span {
  for (let i = start; i < text.length; i += 1) {
    if (text.startsWith(quote, i)) return { start, end: i };
    if (text.charAt(i) === "\\") i += 1;
  }
  return { start, end: text.length };
}

const plainValue = /[^\s"'&;<>`|,]*/y;
const nextField = /,(?:$|\s|["'\w.-]{1,64}\s?[=:])/y;

/** Where a value without quotes ends. A comma ends it only before another field. */
function endOfPlain(text: string, start: number): number {
  for (let end = start; ; end += 1) {
    plainValue.lastIndex = end;
    plainValue.test(text);
    end = plainValue.lastIndex;
    nextField.lastIndex = end;
    if (text.charAt(end) !== "," || nextField.test(text)) return end;
  }
}

const headerHint = /auth|key|token|cookie|secret/i;
/** HTTP's header with credentials, anywhere in a text. */
const header =
  /(?<![\w-])((?:proxy-|x-)?authorization|x-(?:[a-z]+-){0,4}(?:key|token|auth|secret|signature)|set-cookie|cookie)(?:\s{0,4}[:=]\s{0,4})/gi;

function* headerSecrets(text: string): Generator<Span> {
  header.lastIndex = 0;
  for (let found = header.exec(text); found !== null; found = header.exec(text)) {
    const start = found.index + found[0].length;
    let end = start;
    while (end < text.length && !/["'\n\\]/.test(text.charAt(end))) end += 1;
    const isCookie = /cookie$/i.test(found[1] ?? "");
    // A cookie is `name=value`. Any other text is about cookies.
    if (!isCookie || text.slice(start, end).includes("=")) yield { start, end };
    header.lastIndex = Math.max(end, start);
  }
}

/** A token behind the name of a scheme, as in the value of an Authorization header. */
const scheme = /(?<!\w)(bearer|basic)\s{1,4}([A-Za-z0-9._~+/=-]{8,})/gi;

function* bearerSecrets(text: string): Generator<Span> {
  for (const { 0: whole, 1: name = "", 2: token = "", index } of text.matchAll(scheme)) {
    const isToken =
      name.toLowerCase() === "basic"
        ? decodedBase64(token).includes(":")
        : /\d/.test(token) || (token.length >= 16 && /[A-Z]/.test(token) && /[a-z]/.test(token));
    if (isToken) yield { start: index + whole.length - token.length, end: index + whole.length };
  }
}

/** The printable text that `text` stands for in base64; empty if it stands for none. */
export function decodedBase64(text: string): string {
  if (!/^[A-Za-z0-9+/_-]{6,}={0,2}$/.test(text)) return "";
  const decoded = Buffer.from(text, "base64").toString("latin1");
  return /^[\x21-\x7e]+$/.test(decoded) ? decoded : "";
}

/** The passwords and tokens in URLs. */
function* urlSecrets(text: string): Generator<Span> {
  for (let i = text.indexOf("://"); i >= 0; ) {
    const start = i + 3;
    let end = start;
    while (end < text.length && !/[\s/"'<>`]/.test(text.charAt(end))) end += 1;
    const span = userInformation(text, i, start, end);
    if (span !== undefined) yield span;
    i = text.indexOf("://", Math.max(end, span?.end ?? 0));
  }
}

/** How far a password with a slash, which a URL should not have, is followed. */
const LONGEST_PASSWORD = 128;

function userInformation(text: string, schemeEnd: number, start: number, end: number): Span | undefined {
  const authority = text.slice(start, end);
  const colon = authority.indexOf(":");
  const at = authority.lastIndexOf("@");
  if (at >= 0) {
    if (colon >= 0 && colon < at) {
      if (/^:\d{1,5}[?#]/.test(authority.slice(colon)) || /[?#]/.test(authority.slice(0, colon)))
        return undefined;
      const password = { start: start + colon + 1, end: start + at };
      return isReference(text.slice(password.start, password.end)) ? undefined : password;
    }
    const user = authority.slice(0, at);
    const isWeb = /(?:https?|ftps?|wss?)$/i.test(text.slice(Math.max(0, schemeEnd - 6), schemeEnd));
    return isWeb && isOpaque(user) ? { start, end: start + at } : undefined;
  }
  if (colon < 0 || /^:(?:\d{0,5}$|\d{1,5}[?#,])/.test(authority.slice(colon)) || authority.startsWith("["))
    return undefined;
  const rest = text.slice(end, end + LONGEST_PASSWORD);
  const closing = /^[^\s"'<>`]*@/.exec(rest)?.[0];
  // The argument may have been cut before the `@`. Images have tags where other URLs have ports.
  const isImage = /(?:docker|oci|storage)$/.test(text.slice(Math.max(0, schemeEnd - 8), schemeEnd));
  if (closing === undefined && (end < text.length || isImage)) return undefined;
  return { start: start + colon + 1, end: closing === undefined ? end : end + closing.length - 1 };
}

/** Whether a user in a URL is a token rather than a name. */
function isOpaque(user: string): boolean {
  if (/[?#&=]/.test(user) || user.length < 6) return false;
  return user.length >= 20 || (/\d/.test(user) && (/[A-Z]/.test(user) || /\d[a-z]/.test(user)));
}

/** `IDENTIFIED BY 'secret'`, `PASSWORD 'secret'`, `PASSWORD('secret')`. */
const sql =
  /(?<!\w)(?:identified\s{1,4}(?:with\s{1,4}\w{1,64}\s{1,4})?(?:by|as)(?:\s{1,4}password)?|password|secret)\s{0,4}\(?\s{0,4}(?=\\*["'])/gi;

function sqlSecrets(text: string): Generator<Span> {
  return valuesBehind(text, sql);
}

/** The values behind each match of `expression`, which has the flag `g`. A match within a value does not count. */
function* valuesBehind(text: string, expression: RegExp): Generator<Span> {
  expression.lastIndex = 0;
  for (let found = expression.exec(text); found !== null; found = expression.exec(text)) {
    const span = valueAt(text, expression.lastIndex);
    if (span === undefined) continue;
    yield span;
    expression.lastIndex = span.end;
  }
}

/** What a script of expect(1) sends when it was asked for a password. */
const sent = /send(?<=(?:assw|assphrase)[\s\S]{0,104})\s{1,4}(?:--?\s{1,4})?(?=\\*["'])/g;

function sentSecrets(text: string): Generator<Span> {
  return valuesBehind(text, sent);
}

/** `<password>secret</password>` */
const element = /<([\w.:-]{1,64})>(?=[^<])/g;

function* elementSecrets(text: string): Generator<Span> {
  for (const { 0: opening, 1: name = "", index } of text.matchAll(element)) {
    const start = index + opening.length;
    const closing = text.indexOf("<", start);
    if (isSecretName(name)) yield { start, end: closing < 0 ? text.length : closing };
  }
}

/** `jdbc:oracle:thin:user/secret@host` */
const oracle = /:thin:\w{1,64}\/(?=[^\s@]{1,128}@)/g;

function* oracleSecrets(text: string): Generator<Span> {
  for (const { 0: before, index } of text.matchAll(oracle)) {
    const start = index + before.length;
    yield { start, end: text.indexOf("@", start) };
  }
}

/** Functions that log in somewhere, and which of their arguments is the password, from 0. */
const passwordArgument: Readonly<Record<string, number>> = {
  login: 1,
  auth: 1,
  authenticate: 1,
  HTTPBasicAuth: 1,
  simple_bind_s: 1,
  createUser: 1,
  ftp_login: 2,
  ldap_bind: 2,
  mysql_connect: 2,
  mysqli_connect: 2,
  mysqli: 2,
  PDO: 2,
  connect: 2,
  getConnection: 2,
  ssh2_auth_password: 2,
  setPassword: 0,
};
const call = new RegExp(`(?<!\\w)(${Object.keys(passwordArgument).join("|")})\\s{0,4}=?\\s{0,4}\\(`, "g");
/** The characters of a call's arguments that are read. */
const LONGEST_CALL = 256;

function* callSecrets(text: string): Generator<Span> {
  for (const { 0: before, 1: name = "", index } of text.matchAll(call)) {
    const start = index + before.length;
    const span = argumentOf(text.slice(start, start + LONGEST_CALL), passwordArgument[name] ?? 0);
    if (span !== undefined) yield { start: start + span.start, end: start + span.end };
  }
}

/** The quoted argument with that number, from 0, of a call with these arguments. */
function argumentOf(list: string, number: number): Span | undefined {
  let argument = 0;
  for (let i = 0; i < list.length; i += 1) {
    const character = list.charAt(i);
    if (character === ",") argument += 1;
    else if (character === ")") return undefined;
    else if (character === '"' || character === "'") {
      const span = insideQuotes(list, i + 1, character);
      if (argument === number) return span;
      i = span.end;
    }
  }
  return undefined;
}
