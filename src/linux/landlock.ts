// Landlock (landlock(7), Linux 5.13): the calling thread, and the programs that it executes, can use only some files.
// A restricted thread also cannot inspect processes outside its restriction (ptrace(2), /proc/PID/exe).
import { fstatSync, openSync } from "node:fs";
import { closeDescriptor } from "./descriptor.ts";
import { bindLibc, checked } from "./libc.ts";
import { systemCall } from "./system-calls.ts";
import { codeOf } from "./system-error.ts";

// The C library has no wrappers, so syscall(2) is bound once for each list of arguments.
const create = bindLibc({ syscall: { args: ["i64", "ptr", "u64", "u32"], returns: "i64" } });
const add = bindLibc({ syscall: { args: ["i64", "i32", "i32", "ptr", "u32"], returns: "i64" } });
const restrict = bindLibc({ syscall: { args: ["i64", "i32", "u32"], returns: "i64" } });

const SYS_landlock_create_ruleset = systemCall("landlock_create_ruleset");
const SYS_landlock_add_rule = systemCall("landlock_add_rule");
const SYS_landlock_restrict_self = systemCall("landlock_restrict_self");
// linux/landlock.h
const LANDLOCK_CREATE_RULESET_VERSION = 1;
const LANDLOCK_RULE_PATH_BENEATH = 1;
// asm-generic/fcntl.h
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;

/** LANDLOCK_ACCESS_FS_*: the rights, by the bit of each. */
const EXECUTE = 1n << 0n;
const WRITE_FILE = 1n << 1n;
const READ_FILE = 1n << 2n;
const READ_DIR = 1n << 3n;
/** Remove and make entries of every kind: bits 4 to 12. */
const CHANGE_DIRECTORY = 0x1ff0n;
/** Since version 2: move and link between folders. */
const REFER = 1n << 13n;
/** Since version 3. */
const TRUNCATE = 1n << 14n;
/** Rights that apply to a file; the kernel refuses a rule with others if its path is one. */
const OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE;

const READ = EXECUTE | READ_FILE | READ_DIR;

export interface FileAccess {
  /** Files and folders that may be read and executed, with everything below them; those that are missing are skipped. */
  readonly read: readonly string[];
  /** Likewise those that may be read and changed. */
  readonly write: readonly string[];
}

/** The version of Landlock that the kernel has; 0 if it has none or it is not enabled. */
export function landlockVersion(): number {
  const version = create.syscall(SYS_landlock_create_ruleset, null, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return Math.max(0, Number(version));
}

/**
 * Restricts the calling thread to `access`; descriptors that are open stay usable. The thread must have no_new_privs.
 * False if the kernel has no Landlock.
 */
export function restrictFiles(access: FileAccess): boolean {
  const version = landlockVersion();
  if (version === 0) return false;
  const write =
    READ | WRITE_FILE | CHANGE_DIRECTORY | (version < 2 ? 0n : REFER) | (version < 3 ? 0n : TRUNCATE);
  // struct landlock_ruleset_attr: u64 handled_access_fs; the fields that follow are optional
  const attributes = new BigUint64Array([write]);
  const ruleset = Number(create.syscall(SYS_landlock_create_ruleset, attributes, attributes.byteLength, 0));
  checked("landlock_create_ruleset", ruleset);
  try {
    for (const path of access.read) allow(ruleset, path, READ);
    for (const path of access.write) allow(ruleset, path, write);
    checked("landlock_restrict_self", Number(restrict.syscall(SYS_landlock_restrict_self, ruleset, 0)));
  } finally {
    closeDescriptor(ruleset);
  }
  return true;
}

function allow(ruleset: number, path: string, rights: bigint): void {
  let fd: number;
  try {
    fd = openSync(path, O_PATH | O_CLOEXEC);
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "EACCES") return;
    throw error;
  }
  try {
    // struct landlock_path_beneath_attr, packed: u64 allowed_access, s32 parent_fd
    const rule = new DataView(new ArrayBuffer(12));
    rule.setBigUint64(0, fstatSync(fd).isDirectory() ? rights : rights & OF_FILES, true);
    rule.setInt32(8, fd, true);
    const result = add.syscall(
      SYS_landlock_add_rule,
      ruleset,
      LANDLOCK_RULE_PATH_BENEATH,
      new Uint8Array(rule.buffer),
      0,
    );
    checked("landlock_add_rule", Number(result), path);
  } finally {
    closeDescriptor(fd);
  }
}
