// Why a file that was named cannot be read or written, as a person says it.
import { codeOf, messageOf } from "../vocabulary/errors.ts";

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such file",
  EISDIR: "it is a directory",
  EACCES: "permission denied: run it with sudo",
};

/** `cannot read the WHAT PATH: why`. */
export function readError(what: string, path: string, error: unknown): string {
  return `cannot read the ${what} ${path}: ${reasonOf(error)}`;
}

/** `cannot write the WHAT PATH: why`. */
export function writeError(what: string, path: string, error: unknown): string {
  return `cannot write the ${what} ${path}: ${codeOf(error) === "ENOENT" ? "its folder does not exist" : reasonOf(error)}`;
}

function reasonOf(error: unknown): string {
  return reasons[codeOf(error) ?? ""] ?? messageOf(error);
}
