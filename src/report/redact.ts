// Secrets in arguments: what leaves the host has them replaced.
import { RE2JS } from "re2js";
import { unambiguous, undoUnambiguous } from "../linux/text.ts";
import type { EventRecord } from "./event-record.ts";

export type ArgumentsMode = "full" | "redacted" | "off";

const HIDDEN = "[redacted]";

/** Words that are about secrets wherever they stand, and those that must be a word of their own (not `compass`). */
const anywhere =
  "password|passwd|passphrase|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|auth[-_]?key";
const alone = "pass|pwd|passcode|credentials?|encryption[-_]?key";

// RE2's expressions: arguments are hostile, and JavaScript's own would stall on some of them.

/** An option whose value is a secret, in the next argument. */
const secretOption = RE2JS.compile(
  `^--?(?:[a-z0-9_.-]*(?:${anywhere})|(?:[a-z0-9_.-]*[_.-])?(?:${alone}|auth|authorization|bearer))$`,
  RE2JS.CASE_INSENSITIVE,
);
/** \`name=secret\` and \`name: secret\`, as env(1), curl(1) and configuration in code have them. */
const assignment = RE2JS.compile(
  `(?i)(\\b(?:[a-z0-9_.-]*(?:${anywhere})|(?:[a-z0-9_.-]*[_.-])?(?:${alone}))(?:[_.-][a-z0-9_.-]*)?["']?\\s*[=:]\\s*["']?)([^\\s"'&;,]+)`,
);
/** scheme://user:secret@host */
const urlCredentials = RE2JS.compile("(?i)([a-z][a-z0-9+.-]{0,30}://[^\\s/:@]*):[^\\s/@]+@");
/** HTTP's Authorization header and its like, anywhere in an argument. */
const header = RE2JS.compile(
  "(?i)\\b((?:proxy-)?authorization|x-[a-z-]*(?:key|token)|set-cookie|cookie)(\\s*[:=]\\s*)[^\"']+",
);
const bearer = RE2JS.compile("(?i)\\b(bearer|basic)\\s+[a-z0-9._~+/=-]{8,}");
/** Keys by their look: known prefixes, JSON web tokens, PEM blocks. */
const keyShapes = RE2JS.compile(
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
/** A run of what keys are made of, between anything else; `isKey` says whether it is one. */
const run = RE2JS.compile("[A-Za-z0-9+_=-]{32,}");

/** Programs to which `-pSECRET` is a password. */
const gluedPassword = new Set(
  "mysql mysqldump mysqladmin mysqlcheck mysqlimport mysqlshow mariadb mariadb-dump mariadb-admin mariadb-check mariadb-import sshpass".split(
    " ",
  ),
);
/** Programs to which the argument after `-p` is a port, a path, a pid, or nothing of its own. */
const harmlessP = new Set(
  "mkdir rmdir cp install ssh scp sftp ssh-keyscan ps pgrep pidof ss lsof netstat tar touch perl patch nmap iptables ip6tables nft git systemctl journalctl loginctl top htop strace ltrace gdb perf renice ionice chrt taskset prlimit nsenter bash dash sh zsh ksh sudo su ls nc ncat netcat telnet rsync redis-server nginx make cmake ninja date time grep rg unzip dpkg dpkg-query rpm runuser pv split python python3 node java psql pg_dump pg_restore pg_ctl pg_isready createdb redis-cli mount umount blkid lsblk parted sfdisk".split(
    " ",
  ),
);
/** curl's and wget's `-u user:secret`. */
const userOption = new Set(["-u", "--user", "--proxy-user", "-U"]);

/** Arguments longer than this are cut before any pattern sees them; what is cut was not looked at and does not leave. */
const LONGEST = 4_096;

/**
 * Makes the function that a record passes before it leaves. `patterns`: further secrets, in RE2's language; what they
 * match is replaced. Throws if one is wrong.
 */
export function createRedaction(
  mode: ArgumentsMode,
  patterns: readonly string[],
): (record: EventRecord) => EventRecord {
  const own = patterns.map((pattern) => RE2JS.compile(pattern));
  return (record) => {
    const { "process.command_line": _line, ...rest } = record;
    const args = record["process.command_args"];
    if (!Array.isArray(args) || mode === "full") return "process.command_line" in record ? rest : record;
    if (mode === "off") {
      const { "process.command_args": _args, ...without } = rest;
      return without;
    }
    // Patterns see the arguments as the program had them: an escaped backslash would be two.
    const given = args.map((arg) => undoUnambiguous(String(arg)) ?? String(arg));
    return { ...rest, "process.command_args": redactArguments(given, own).map(unambiguous) };
  };
}

/** The arguments with every secret that is known by its name or its look replaced. */
export function redactArguments(args: readonly string[], own: readonly RE2JS[] = []): string[] {
  const program = args[0]?.split("/").at(-1) ?? "";
  let hideNext = false;
  return args.map((arg, i) => {
    const value = arg.length > LONGEST ? `${arg.slice(0, LONGEST)}...` : arg;
    if (i === 0) return value;
    if (hideNext) {
      hideNext = false;
      return HIDDEN;
    }
    const before = args[i - 1] ?? "";
    if (userOption.has(before) && value.includes(":"))
      return `${value.slice(0, value.indexOf(":"))}:${HIDDEN}`;
    if (value === "-p") hideNext = !harmlessP.has(program);
    else if (value.startsWith("-p") && gluedPassword.has(program)) return `-p${HIDDEN}`;
    else if (value.startsWith("-")) hideNext = secretOption.matches(value);
    return redactText(value, own);
  });
}

function redactText(text: string, own: readonly RE2JS[]): string {
  let safe = text;
  // Each pattern needs one of these characters; most arguments have none, and most time is saved by not asking.
  if (safe.includes("://")) safe = urlCredentials.matcher(safe).replaceAll(`$1:${HIDDEN}@`);
  if (safe.includes(":") || safe.includes("=")) {
    safe = header.matcher(safe).replaceAll(`$1$2${HIDDEN}`);
    safe = assignment.matcher(safe).replaceAll(`$1${HIDDEN}`);
  }
  if (safe.includes(" ")) safe = bearer.matcher(safe).replaceAll(`$1 ${HIDDEN}`);
  if (safe.length >= 16) safe = keyShapes.matcher(safe).replaceAll(HIDDEN);
  if (safe.length >= 32) safe = hideKeys(safe);
  for (const pattern of own) safe = pattern.matcher(safe).replaceAll(HIDDEN);
  return safe;
}

function hideKeys(text: string): string {
  const matcher = run.matcher(text);
  let safe = "";
  let end = 0;
  while (matcher.find()) {
    const found = matcher.group() ?? "";
    safe += text.slice(end, matcher.start()) + (isKey(found) ? HIDDEN : found);
    end = matcher.end();
  }
  return safe + text.slice(end);
}

/**
 * Long enough and mixed enough to be a key: hexadecimal, or letters of both cases with digits, or letters with many
 * digits. Options and names of many words are none: each of their words is short.
 */
function isKey(text: string): boolean {
  for (const part of text.split(/[-_=]/)) {
    if (part.length < 24) continue;
    const digits = part.replaceAll(/[^0-9]/g, "").length;
    if (digits === 0) continue;
    if (/^[0-9a-fA-F]+$/.test(part)) return true;
    if ((/[a-z]/.test(part) && /[A-Z]/.test(part)) || digits >= 4) return true;
  }
  // Base64 for URLs has the separators inside: then there are digits and both cases in short pieces.
  const pieces = text.split(/[-_]/);
  const mixed = pieces.filter((piece) => /[a-z]/.test(piece) && /[A-Z]/.test(piece) && /[0-9]/.test(piece));
  return mixed.join("").length >= 24;
}
