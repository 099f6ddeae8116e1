// A program that gives up its rights as a process of treewarden does, and then tries what injected code would try.
//   ROLE MODE FOLDER: the role, its PrivilegeMode as JSON, and the folder that is its own
// Writes one line of JSON: for each attempt `ok` or the name of the error.
import { ptr } from "bun:ffi";
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type PrivilegeMode, processRoles } from "../../src/hardening/privileges.ts";
import { giveUp, restrictFurther } from "../../src/hardening/restrict.ts";
import { bindLibc, errno, errnoName } from "../../src/linux/libc.ts";
import { replaceProcess } from "../../src/linux/process.ts";
import { ownArguments } from "../../src/linux/spawn.ts";
import { codeOf } from "../../src/linux/system-error.ts";
import { cString } from "../../src/linux/text.ts";

const libc = bindLibc({
  execve: { args: ["ptr", "ptr", "ptr"], returns: "i32" },
  ptrace: { args: ["i64", "i64", "ptr", "ptr"], returns: "i64" },
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  connect: { args: ["i32", "ptr", "i32"], returns: "i32" },
  mmap: { args: ["ptr", "u64", "i32", "i32", "i32", "i64"], returns: "i64" },
  kill: { args: ["i32", "i32"], returns: "i32" },
  unshare: { args: ["i32"], returns: "i32" },
  prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  process_vm_readv: { args: ["i32", "ptr", "u64", "ptr", "u64", "u64"], returns: "i64" },
});

const [roleName = "", modeText = "", folder = ""] = process.argv.slice(2);
const role = processRoles.find((each) => each === roleName);
if (role === undefined) throw new RangeError(`no role ${roleName}`);
const mode: PrivilegeMode = JSON.parse(modeText);

if (process.env.SECOND_START !== "1") {
  const problems = giveUp(role, mode, { folder, read: [...ownArguments()] });
  const told = problems.length === 0 ? {} : { PROBLEMS: problems.join("; ") };
  replaceProcess(["actor", ...ownArguments(), role, modeText, folder], { SECOND_START: "1", ...told });
}

function called(result: number | bigint): string {
  return Number(result) >= 0 ? "ok" : errnoName(errno());
}

function attempted(action: () => void): string {
  try {
    action();
    return "ok";
  } catch (error) {
    return codeOf(error) ?? String(error);
  }
}

/** struct sockaddr_in of the discard port of this host, where nobody listens. */
const address = new Uint8Array([2, 0, 0, 9, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
const nowhere = new BigUint64Array([0n]);
const vector = new BigUint64Array([BigInt(ptr(new Uint8Array(8))), 8n]);
const PR_SET_DUMPABLE = 4;
const [PTRACE_ATTACH, SIGCONT, CLONE_NEWUSER] = [16, 18, 0x1000_0000];
const [MAP_PRIVATE_ANONYMOUS, READ_WRITE, RWX] = [0x22, 3, 7];

const attempts: Readonly<Record<string, () => string>> = {
  // No such file: what is allowed fails with ENOENT.
  execve: () => called(libc.execve(cString("/nonexistent"), nowhere, nowhere)),
  spawn: () => attempted(() => Bun.spawnSync(["/bin/true"])),
  ptrace: () => called(libc.ptrace(PTRACE_ATTACH, process.ppid, null, null)),
  process_vm_readv: () => called(libc.process_vm_readv(process.ppid, vector, 1, vector, 1, 0)),
  kill: () => called(libc.kill(process.ppid, SIGCONT)),
  unshare: () => called(libc.unshare(CLONE_NEWUSER)),
  socket: () => called(libc.socket(2, 1, 0)),
  // On /dev/null: what is allowed fails with ENOTSOCK.
  connect: () => called(libc.connect(0, address, address.length)),
  "be inspected": () => called(libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)),
  "not be inspected": () => called(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)),
  "executable memory": () => called(libc.mmap(null, 4096, RWX, MAP_PRIVATE_ANONYMOUS, -1, 0)),
  // Half as much again as the limit; reserved, not used.
  "too much memory": () => called(libc.mmap(null, 3 << 29, READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0)),
  "read /etc/shadow": () => attempted(() => closeSync(openSync("/etc/shadow", "r"))),
  "read /etc/passwd": () => attempted(() => closeSync(openSync("/etc/passwd", "r"))),
  "read /var": () => attempted(() => closeSync(openSync("/var/lib", "r"))),
  "write own folder": () => attempted(() => writeFileSync(join(folder, "own"), "x")),
  "write elsewhere": () => attempted(() => closeSync(openSync(join(folder, "../elsewhere"), "w"))),
};

const problems = [process.env.PROBLEMS ?? "", ...restrictFurther(role, mode)].join("");
const results = Object.fromEntries(Object.entries(attempts).map(([name, attempt]) => [name, attempt()]));
// The runtime still works: it compiles, collects and starts threads.
Bun.gc(true);
writeSync(1, `${JSON.stringify({ problems, ...results })}\n`);
process.exit(0);
