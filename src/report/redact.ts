// Replaces secrets in arguments before a record leaves the host.
import { RE2JS } from "re2js";
import { unambiguous, undoUnambiguous } from "../linux/text.ts";
import { isEnvironmentVariable, nameInEnvironment } from "../vocabulary/environment.ts";
import { type EventRecord, parseRecord, type RecordDraft } from "./event-record.ts";

export type ArgumentsMode = "full" | "redacted" | "off";

const HIDDEN = "[redacted]";

/** Words that denote a secret anywhere in a name, and those that do so only as a separate word (not in `compass`). */
const anywhere =
  "password|passwd|passphrase|secret|token|storepass|keypass|api[-_]?key|access[-_]?key|private[-_]?key|auth[-_]?key";
const alone = "pass|pwd|passcode|credentials?|encryption[-_]?key";

/** Matches a part of each of these names. Most words have none, which saves the expensive tests. */
const hint = /pass|pwd|secret|token|key|credential|auth|bearer/i;

// These are RE2 expressions, because hostile arguments could make JavaScript's own expressions run for very long.
// Compiled they take megabytes, and the warden, which leaves redaction to the reporter, needs them only while it learns.

/** The expression, compiled at its first use. */
function compiledLate(text: string, flags?: number): () => RE2JS {
  let expression: RE2JS | undefined;
  return () => {
    expression ??= RE2JS.compile(text, flags);
    return expression;
  };
}

/** An option whose value is a secret, in the next argument. */
const secretOption = compiledLate(
  `^--?(?:[a-z0-9_.-]*(?:${anywhere})|(?:[a-z0-9_.-]*[_.-])?(?:${alone}|auth|authorization|bearer))$`,
  RE2JS.CASE_INSENSITIVE,
);
const secretName = `(?:[a-z0-9_.-]*(?:${anywhere})|(?:[a-z0-9_.-]*[_.-])?(?:${alone}))(?:[_.-][a-z0-9_.-]*)?`;
/** A word that assigns a value to such a name: `--password=...`, `TOKEN=...`. The text after `=` is the secret. */
const secretAssignment = compiledLate(`(?i)^-{0,2}${secretName}=`);
/** \`name=secret\` and \`name: secret\` in the middle of a text, as for curl(1) or in source code. */
const assignment = compiledLate(
  `(?i)(\\b${secretName}["']?\\s*[=:]\\s*)(?:"(?:[^"\\\\]|\\\\.)*"?|'[^']*'?|[^\\s"'&;,]+)`,
);
/** scheme://user:secret@host */
const urlCredentials = compiledLate("(?i)([a-z][a-z0-9+.-]{0,30}://[^\\s/:@]*):[^\\s/]+@");
/** HTTP's Authorization header and its like, anywhere in an argument. */
const header = compiledLate(
  "(?i)\\b((?:proxy-)?authorization|x-[a-z-]*(?:key|token)|set-cookie|cookie)(\\s*[:=]\\s*)[^\"']+",
);
const bearer = compiledLate("(?i)\\b(bearer|basic)\\s+[a-z0-9._~+/=-]{8,}");
/** Keys recognized by their form: known prefixes, JSON web tokens, PEM blocks. */
const keyShapes = compiledLate(
  [
    "\\b(?:AKIA|ASIA)[A-Z0-9]{16}\\b",
    "\\bgh[pousr]_[A-Za-z0-9]{20,}",
    "\\bgithub_pat_[A-Za-z0-9_]{20,}",
    "\\bglpat-[A-Za-z0-9_-]{16,}",
    "\\bxox[abeprs]-[A-Za-z0-9-]{10,}",
    "\\bsk[-_](?:live|test|ant|proj)[-_][A-Za-z0-9_-]{16,}",
    "\\bAIza[A-Za-z0-9_-]{30,}",
    "\\beyJ[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_-]{8,}\\.?[A-Za-z0-9_-]*",
    "-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*)",
  ].join("|"),
);

// The first record that needs one of these expressions costs megabytes, so each is used only on a text that has a part of
// what it matches. The tests for that are lists of fixed texts, on which JavaScript's own expressions take linear time.
// RE2 folds cases as they do with the flag `u`.
const headerHint = /authorization|key|token|cookie/iu;
const bearerHint = /bearer|basic/iu;
const keyShapeHint = /AKIA|ASIA|gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|sk[-_]|AIza|eyJ|-----BEGIN /;
/** A run of characters that occur in keys; `isKey` decides whether it is a key. Takes linear time as well. */
const run = /[A-Za-z0-9+_=-]{32,}/g;

/** The one-letter options of a program that carry secrets. */
interface Letters {
  /** Options whose value is a secret. */
  readonly secret?: string;
  /** Options whose value is a user and, behind one of `separators`, a secret. */
  readonly user?: string;
  readonly separators?: string;
  /** Options without a value: another option may follow in the same word (`-xw SECRET`). */
  readonly flags?: string;
}

const ldap = { secret: "w", flags: "AcCILMnNQrvVxZ" };
const samba = { user: "U", separators: "%" };
const lettersOf: ReadonlyMap<string, Letters> = new Map(
  Object.entries<Letters>({
    "mysql mysqldump mysqladmin mysqlcheck mysqlimport mysqlshow mariadb mariadb-dump mariadb-admin mariadb-check mariadb-import sshpass":
      { secret: "p" },
    "mongo mongosh mongodump mongorestore mongoimport mongoexport 7z 7za 7zz rar": { secret: "p" },
    "redis-cli valkey-cli keydb-cli": { secret: "a" },
    "ldapsearch ldapadd ldapmodify ldapdelete ldapcompare ldapmodrdn ldapwhoami ldapexop": ldap,
    ldappasswd: { ...ldap, secret: "was" },
    "zip unzip ipmitool sqlcmd bcp tsql": { secret: "P" },
    "snmpget snmpwalk snmpbulkwalk snmpset snmptrap": { secret: "AXc" },
    curl: { user: "uUE", flags: "#0123469aBfgGiIjJklLnNOpqRsSvZ" },
    "smbclient smbget smbcacls smbtree rpcclient net": samba,
    "http https xh xhs": { user: "a" },
    ab: { user: "AP" },
    lftp: { user: "u", separators: "," },
    "docker podman nerdctl": { secret: "p" },
    // These programs take no secrets, but use letters that mean a secret elsewhere.
    "date diff git id python python3 sort": {},
  }).flatMap(([names, letters]) => names.split(" ").map((name) => [name, letters])),
);
/** For programs that are not in the table: many take a user and a secret with these. */
const defaultLetters: Letters = { user: "uU" };
/** Options with a user and a secret, for any program. */
const userOption = /^--(?:user|proxy-user|cert|proxy-cert)$/;

/** Programs for which the argument after `-p` is a port, a path or a pid, or not a value of `-p` at all. */
const withHarmlessP = new Set(
  "mkdir rmdir cp install ssh scp sftp ssh-keyscan ps pgrep pidof ss lsof netstat tar touch perl patch nmap iptables ip6tables nft git systemctl journalctl loginctl top htop strace ltrace gdb perf renice ionice chrt taskset prlimit nsenter bash dash sh zsh ksh sudo su ls nc ncat netcat telnet rsync redis-server nginx make cmake ninja date time grep rg unzip dpkg dpkg-query rpm runuser pv split python python3 node java psql pg_dump pg_restore pg_ctl pg_isready createdb redis-cli valkey-cli keydb-cli mount umount blkid lsblk parted sfdisk curl".split(
    " ",
  ),
);
/** Programs that start another program, whose name and arguments follow theirs. */
const wrappers = new Set(
  "sudo doas env nice ionice timeout time nohup setsid stdbuf chrt taskset prlimit setpriv nsenter unshare strace ltrace xargs su runuser chroot systemd-run watch".split(
    " ",
  ),
);
/** A port, or a published port of docker(1): `127.0.0.1:8080:80/tcp`. */
const ports = /^(?:[\d.]+:)?\d{1,5}(?:-\d{1,5})?:\d{1,5}(?:-\d{1,5})?(?:\/(?:tcp|udp|sctp))?$/;
/** A user and a group, as in `docker -u`. */
const userAndGroup = /^\d+:\d+$/;

/** Programs that take ids of commits, images and containers. For them such a text is not a key. */
const usesIds =
  /(?:^|[\s;&|(/])(?:git(?:-[a-z-]+)?|gh|glab|tig|hg|jj|svn|docker[a-z-]*|containerd[a-z0-9-]*|podman|nerdctl|buildah|skopeo|runc|crun|conmon|ctr|crictl|crio|kubelet|kubectl)(?=\s|$)/;
/** SHA-1 and SHA-256, as git and container runtimes write their ids. */
const id = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;
/** Text directly before an id that marks it as one. */
const idName =
  /(?:@|\bsha(?:1|256):|\b(?:docker|libpod|crio|containerd)-|(?:commit|sha|rev|revision|ref|digest|checksum|hash|container|image|(?:^|[-_. ])id)(?:[-_]?(?:id|sha|hash))?["']?[=:/ ]["']?)$/i;

/** Arguments longer than this are cut before redaction, so that unchecked text never leaves the host. */
const LONGEST = 4_096;

/** Ancestors whose redaction is remembered: most records of a while have some of the same. */
const ANCESTORS = 512;
/** The longest text that is remembered, in characters. */
const LONGEST_REMEMBERED = 4_096;

/** The same function, which computes what it has computed lately only once. Nothing invalidates it: it depends on `text` alone. */
function rememberingLast<T>(most: number, compute: (text: string) => T): (text: string) => T {
  const results = new Map<string, T>();
  return (text) => {
    const known = results.get(text);
    if (known !== undefined) return known;
    const result = compute(text);
    if (results.size >= most) results.clear();
    if (text.length <= LONGEST_REMEMBERED) results.set(text, result);
    return result;
  };
}

/**
 * Creates the function that redacts a record before it leaves the host. `patterns`: RE2 expressions, whose matches are
 * replaced too. Throws if one is not valid.
 */
export function createRedaction(
  mode: ArgumentsMode,
  patterns: readonly string[],
): (record: EventRecord) => EventRecord {
  const configured = patterns.map((pattern) => RE2JS.compile(pattern));
  const redact = (record: EventRecord): EventRecord => {
    const { "process.command_line": _line, ...rest } = record;
    const args = record["process.command_args"];
    const lines = record["policy.arguments"];
    const ancestors = record["process.ancestors"];
    const set = Object.keys(record).filter(isEnvironmentVariable);
    const hasNone =
      !Array.isArray(args) && !Array.isArray(lines) && !Array.isArray(ancestors) && set.length === 0;
    if (hasNone || mode === "full") return "process.command_line" in record ? rest : record;
    const safe: RecordDraft = { ...rest };
    if (Array.isArray(ancestors))
      safe["process.ancestors"] = ancestors.flatMap((text) => redactAncestor(String(text)));
    if (mode === "off") {
      delete safe["process.command_args"];
      delete safe["policy.arguments"];
      for (const name of set) delete safe[name];
      return safe;
    }
    for (const name of set)
      safe[name] = unambiguous(
        redactVariable(nameInEnvironment(name), given([String(record[name])])[0] ?? "", configured),
      );
    if (Array.isArray(args))
      safe["process.command_args"] = redactArguments(given(args), configured).map(unambiguous);
    // Arguments that were joined are redacted like the code of a shell.
    if (Array.isArray(lines))
      safe["policy.arguments"] = given(lines).map((line) =>
        unambiguous(redactArguments(["-c", line], configured)[1] ?? ""),
      );
    return safe;
  };
  /** An ancestor is a record by itself. What is none is left out, because it cannot be checked. */
  const redactAncestor = rememberingLast(ANCESTORS, (text) => {
    const ancestor = parseRecord(text);
    return ancestor === undefined ? [] : [JSON.stringify(redact(ancestor))];
  });
  return redact;
}

/** Redacts the value of an environment variable like the assignment that sets it. */
export function redactVariable(name: string, value: string, configured: readonly RE2JS[] = []): string {
  const assigned = `${name}=`;
  const [, redacted = ""] = redactArguments(["env", assigned + value], configured);
  return redacted.startsWith(assigned) ? redacted.slice(assigned.length) : redacted;
}

/** Patterns see the arguments as the program had them: an escaped backslash would be two. */
function given(args: readonly (string | number)[]): string[] {
  return args.map((arg) => undoUnambiguous(String(arg)) ?? String(arg));
}

/** Replaces every secret that is recognized by its name or form, or by one of the `configured` expressions. */
export function redactArguments(args: readonly string[], configured: readonly RE2JS[] = []): string[] {
  const values = args.map((arg) => (arg.length > LONGEST ? `${arg.slice(0, LONGEST)}...` : arg));
  const hidden = secretsIn(values);
  return values.map((value, i) => {
    const from = hidden[i];
    if (i === 0 && from === undefined) return value;
    const [before = "", after] = from === undefined ? [value, ""] : [value.slice(0, from), HIDDEN];
    const text = after === "" && /\s/.test(value) ? redactScript(value, SCRIPTS) : before;
    const keys = { args: values, index: i };
    return redactText(text, configured, keys) + after;
  });
}

function nameOf(word: string): string {
  return word.slice(word.lastIndexOf("/") + 1);
}

/**
 * For each word of a command, the index where a secret begins; undefined if the word has none. The program is the first
 * word, or a later word that is the name of a known program: `sudo mysql`, `docker exec db redis-cli`.
 */
function secretsIn(words: readonly string[]): readonly (number | undefined)[] {
  let program = "";
  let wrapped = false;
  let next: "secret" | "user" | undefined;
  return words.map((word, i) => {
    const kind = next;
    next = undefined;
    if (kind === "secret" && word !== "" && !isPublished(program, word)) return 0;
    if (kind === "user") return userSecret(program, word, 0);
    if (!word.startsWith("-")) {
      program = programAfter(program, nameOf(word), wrapped);
      wrapped ||= i === 0 && wrappers.has(program);
      // The code for a shell may begin with an assignment and go on with commands.
      if (/\s/.test(word) && /^-[A-Za-z]*c$/.test(words[i - 1] ?? "")) return undefined;
      return isSecretAssignment(word) ? word.indexOf("=") + 1 : undefined;
    }
    const option = readOption(program, word);
    next = option.next;
    return option.from;
  });
}

function isSecretAssignment(word: string): boolean {
  return word.includes("=") && hint.test(word) && secretAssignment().matcher(word).lookingAt();
}

/** The program to which further options belong after `name`, a word that is not an option. */
function programAfter(program: string, name: string, wrapped: boolean): string {
  if (program === "" || lettersOf.has(name)) return name;
  return wrapped && (wrappers.has(program) || withHarmlessP.has(name)) ? name : program;
}

function isPublished(program: string, word: string): boolean {
  return lettersOf.get(program)?.secret === "p" && ports.test(word);
}

interface OptionSecret {
  /** The index where the secret begins in the option's own word. */
  readonly from?: number | undefined;
  /** The meaning of the next word. */
  readonly next?: "secret" | "user";
}

function readOption(program: string, word: string): OptionSecret {
  const sign = word.indexOf("=");
  const name = sign < 0 ? word : word.slice(0, sign);
  if (hint.test(name) && secretOption().matches(name) && !/^--?no-/.test(name))
    return sign < 0 ? { next: "secret" } : { from: sign + 1 };
  if (userOption.test(name))
    return sign < 0 ? { next: "user" } : { from: userSecret(program, word, sign + 1) };
  if (isSecretAssignment(word)) return { from: sign + 1 };
  return word.startsWith("--") ? {} : readLetters(program, word);
}

function readLetters(program: string, word: string): OptionSecret {
  const { secret = "", user = "", flags = "" } = lettersOf.get(program) ?? defaultLetters;
  for (let i = 1; i < word.length; i += 1) {
    const letter = word.charAt(i);
    const isLast = i === word.length - 1;
    if (secret.includes(letter)) return isLast ? { next: "secret" } : { from: i + 1 };
    if (user.includes(letter)) return isLast ? { next: "user" } : { from: userSecret(program, word, i + 1) };
    if (!flags.includes(letter)) break;
  }
  return word === "-p" && !withHarmlessP.has(program) ? { next: "secret" } : {};
}

/** The index of the secret in `user:secret`, which begins at `start`; undefined if there is no secret. */
function userSecret(program: string, word: string, start: number): number | undefined {
  const { separators = ":" } = lettersOf.get(program) ?? defaultLetters;
  if (userAndGroup.test(word.slice(start))) return undefined;
  for (let i = start; i < word.length; i += 1) if (separators.includes(word.charAt(i))) return i + 1;
  return undefined;
}

/** The deepest nesting of shell code: \`ssh host "sh -c 'mysql -p...'"\` has three levels. */
const SCRIPTS = 4;

/** Redacts each command in shell code like the arguments of a program. */
function redactScript(text: string, depth: number): string {
  let safe = "";
  let end = 0;
  for (const command of commandsIn(text)) {
    const hidden = secretsIn(command.map(({ value }) => value));
    for (const [i, { start, stop, value }] of command.entries()) {
      const from = hidden[i];
      const raw = text.slice(start, stop);
      const isScript = depth > 0 && i > 0 && /\s/.test(value);
      let shown = raw;
      if (from !== undefined) shown = value.slice(0, from) + HIDDEN;
      else if (isScript) shown = redactQuoted(raw, depth - 1);
      safe += text.slice(end, start) + shown;
      end = stop;
    }
  }
  return safe + text.slice(end);
}

/** Redacts a word with white space, which is at least partly quoted. */
function redactQuoted(raw: string, depth: number): string {
  const [, before = "", inner = "", after = ""] = /^([^\s"']*["'])(.*?)(["']?)$/s.exec(raw) ?? [];
  return inner === "" ? raw : before + redactScript(inner, depth) + after;
}

interface ShellWord {
  readonly start: number;
  readonly stop: number;
  /** Without its quotes and backslashes. */
  readonly value: string;
}

/** The words of each simple command, split as in a shell. Assignments before a program are separate commands. */
function commandsIn(text: string): ShellWord[][] {
  const commands: ShellWord[][] = [[]];
  for (let i = 0; i < text.length; ) {
    const character = text.charAt(i);
    if (/[;&|()`\n{}]/.test(character)) commands.push([]);
    if (/[\s;&|()`{}<>]/.test(character)) {
      i += 1;
      continue;
    }
    const word = wordAt(text, i);
    const command = commands.at(-1);
    if (command?.length === 0 && /^\w+=/.test(word.value)) commands.splice(-1, 0, [word]);
    else command?.push(word);
    i = word.stop;
  }
  return commands;
}

function wordAt(text: string, start: number): ShellWord {
  let quote = "";
  let value = "";
  let i = start;
  for (; i < text.length; i += 1) {
    const character = text.charAt(i);
    if (character === "\\" && quote !== "'") {
      i += 1;
      value += text.charAt(i);
    } else if (quote !== "") {
      if (character === quote) quote = "";
      else value += character;
    } else if (character === '"' || character === "'") quote = character;
    else if (/[\s;&|()`<>]/.test(character)) break;
    else value += character;
  }
  return { start, stop: Math.min(i, text.length), value };
}

/** The position of a text among the arguments, which decides whether it may contain ids. */
interface Place {
  readonly args: readonly string[];
  readonly index: number;
}

function redactText(text: string, configured: readonly RE2JS[], place: Place): string {
  let safe = text;
  // Most arguments have nothing that a pattern needs, which saves the expensive tests.
  if (safe.includes("://")) safe = urlCredentials().matcher(safe).replaceAll(`$1:${HIDDEN}@`);
  if (safe.includes(":") || safe.includes("=")) {
    if (headerHint.test(safe)) safe = header().matcher(safe).replaceAll(`$1$2${HIDDEN}`);
    if (hint.test(safe)) safe = assignment().matcher(safe).replaceAll(`$1${HIDDEN}`);
  }
  if (bearerHint.test(safe)) safe = bearer().matcher(safe).replaceAll(`$1 ${HIDDEN}`);
  if (keyShapeHint.test(safe)) safe = keyShapes().matcher(safe).replaceAll(HIDDEN);
  if (safe.length >= 32) safe = hideKeys(safe, place);
  for (const pattern of configured) safe = pattern.matcher(safe).replaceAll(HIDDEN);
  return safe;
}

function hideKeys(text: string, place: Place): string {
  let safe = "";
  let end = 0;
  for (const { 0: candidate, index } of text.matchAll(run)) {
    const next = index + candidate.length;
    const isHidden = isKey(candidate) && !isId(text, next, place);
    safe += text.slice(end, index) + (isHidden ? HIDDEN : candidate);
    end = next;
  }
  return safe + text.slice(end);
}

/** The text to examine before the end of an id: longer than an id and its longest name. */
const ID_REACH = 100;

/** Whether the text before `end` is the id of a commit, image or container, by the text before it or by the program. */
function isId(text: string, end: number, { args, index }: Place): boolean {
  const option = /^--?[A-Za-z]/.test(args[index - 1] ?? "") ? `${args[index - 1]} ` : "";
  const reach = option + text.slice(Math.max(0, end - ID_REACH), end);
  const hex = /[0-9a-f]+$/.exec(reach)?.[0] ?? "";
  if (!id.test(hex)) return false;
  const before = reach.slice(0, -hex.length);
  const isPath = before.endsWith("/") && !text.includes("://");
  return isPath || idName.test(before) || args.some((arg) => usesIds.test(arg));
}

/**
 * Whether a text is long and mixed enough to be a key: hexadecimal, or letters of both cases with digits, or letters
 * with many digits. Options and names of several words are not keys, because each of their words is short.
 */
function isKey(text: string): boolean {
  for (const part of text.split(/[-_=]/)) {
    if (part.length < 24) continue;
    const digits = part.replaceAll(/[^0-9]/g, "").length;
    if (digits === 0) continue;
    if (/^[0-9a-fA-F]+$/.test(part)) return true;
    if ((/[a-z]/.test(part) && /[A-Z]/.test(part)) || digits >= 4) return true;
  }
  // URL-safe base64 can contain the separators; its short pieces then have digits and letters of both cases.
  const pieces = text.split(/[-_]/);
  const mixed = pieces.filter((piece) => /[a-z]/.test(piece) && /[A-Z]/.test(piece) && /[0-9]/.test(piece));
  return mixed.join("").length >= 24;
}
