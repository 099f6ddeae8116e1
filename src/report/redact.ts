// Secrets in arguments: what leaves the host has them replaced.
import { RE2JS } from "re2js";
import type { EventRecord } from "./record.ts";

export type ArgumentsMode = "full" | "redacted" | "off";

const HIDDEN = "[redacted]";

/** Options whose value, in the same argument behind `=` or in the next one, is a secret. */
const secretOption =
  /^--?(?:[a-z0-9]+[-_.])*(?:password|passwd|passphrase|pass|pwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credentials?|auth|authorization|bearer)(?:[-_]?(?:value|string))?$/i;
/** `NAME=value`, as env(1) takes them and as many programs do. */
const secretAssignment =
  /^((?:--?)?[A-Za-z0-9_.-]*(?:password|passwd|passphrase|pwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credential)[A-Za-z0-9_.-]*)=(.+)$/is;
/** scheme://user:secret@host */
const urlCredentials = /([a-z][a-z0-9+.-]*:\/\/[^\s/:@]*):[^\s/@]+@/gi;
/** HTTP's Authorization header and its like, anywhere in an argument. */
const header =
  /\b(authorization|proxy-authorization|x-api-key|x-auth-token|cookie)(\s*[:=]\s*)(?:(bearer|basic|token)\s+)?[^\s"']+/gi;
const bearer = /\b(bearer)\s+[A-Za-z0-9._~+/=-]{8,}/gi;
/** Keys by their look: known prefixes, JSON web tokens, PEM blocks. */
const keyShapes =
  /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bglpat-[A-Za-z0-9_-]{16,}|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bsk[-_](?:live|test|ant|proj)[-_][A-Za-z0-9_-]{16,}|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*/g;
/** A long run of what keys are made of; digests and paths are shorter, or have a slash. */
const longKey =
  /(?<![A-Za-z0-9+/_=-])(?=[A-Za-z0-9+_=-]*[0-9])(?=[A-Za-z0-9+_=-]*[A-Z])(?=[A-Za-z0-9+_=-]*[a-z])[A-Za-z0-9+_=-]{32,}(?![A-Za-z0-9+/_=-])/g;
/** -pSECRET of these; elsewhere -p is a port, a path, a pid. */
const gluedPassword = new Set([
  "mysql",
  "mysqldump",
  "mysqladmin",
  "mariadb",
  "mariadb-dump",
  "mariadb-admin",
  "sshpass",
]);
/** -p SECRET of these. */
const spacedPassword = new Set(["sshpass", "docker", "podman", "ldapsearch", "smbclient", "redis-cli"]);
/** Arguments longer than this are cut before any pattern sees them; what is cut was not looked at and does not leave. */
const LONGEST = 4_096;

/** Makes the function that a record passes before it leaves. `patterns`: further secrets, in RE2's language. Throws if one is wrong. */
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
    return { ...rest, "process.command_args": redactArguments(args.map(String), own) };
  };
}

/** The arguments with every secret that is known by its name or its look replaced. */
export function redactArguments(args: readonly string[], own: readonly RE2JS[] = []): string[] {
  const program = args[0]?.split("/").at(-1) ?? "";
  let hideNext = false;
  return args.map((arg, i) => {
    const value = arg.length > LONGEST ? `${arg.slice(0, LONGEST)}...` : arg;
    if (hideNext) {
      hideNext = false;
      if (!value.startsWith("-")) return HIDDEN;
    }
    if (i > 0 && secretOption.test(value)) hideNext = true;
    if (i > 0 && value === "-p" && spacedPassword.has(program)) hideNext = true;
    if (i > 0 && /^-p./.test(value) && gluedPassword.has(program)) return `-p${HIDDEN}`;
    return redactText(value, own);
  });
}

function redactText(text: string, own: readonly RE2JS[]): string {
  const assigned = secretAssignment.exec(text);
  let safe = assigned === null ? text : `${assigned[1]}=${HIDDEN}`;
  safe = safe
    .replace(urlCredentials, `$1:${HIDDEN}@`)
    .replace(header, (_all, name: string, between: string) => `${name}${between}${HIDDEN}`)
    .replace(bearer, `$1 ${HIDDEN}`)
    .replace(keyShapes, HIDDEN)
    .replace(longKey, HIDDEN);
  for (const pattern of own) safe = pattern.matcher(safe).replaceAll(HIDDEN);
  return safe;
}
