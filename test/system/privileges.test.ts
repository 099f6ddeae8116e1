// What every thread of every process of a run may do, and what injected code in one of them can.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  capabilitiesOf,
  type PrivilegeMode,
  type ProcessRole,
  processRoles,
} from "../../src/hardening/privileges.ts";
import { capabilityBits } from "../../src/linux/capabilities.ts";
import { family } from "../bench/usage.ts";
import { binary, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

let folder = "";
beforeAll(() => {
  folder = newFolder();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the status of a thread says about its rights (proc_pid_status(5)). */
type Rights = Readonly<Record<string, string>>;

/** The rights of every thread of a process, by the thread's name and id; none if it has ended. */
function threads(pid: number): readonly (readonly [string, Rights])[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map((tid) => {
      const text = readFileSync(`/proc/${pid}/task/${tid}/status`, "latin1");
      const fields = text.matchAll(/^(NoNewPrivs|Seccomp|Cap\w+):\s*(\S+)$/gm);
      return [
        `${/^Name:\s*(.*)$/m.exec(text)?.[1]} ${tid}`,
        Object.fromEntries([...fields].map(([, name, value]) => [name, value])),
      ];
    });
  } catch {
    return [];
  }
}

/** The processes of a run by what they are called on their command lines. */
function processes(running: Running): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const pid of family(running.pid)) {
    try {
      const [program, role = ""] = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0");
      if (program === "treewarden") found.set(role, pid);
    } catch {
      // It has ended.
    }
  }
  return found;
}

const hex = (bits: bigint): string => bits.toString(16).padStart(16, "0");
const none = hex(0n);

/** What docs/privileges.md says of a process. */
function documented(role: string, mode: PrivilegeMode): Rights {
  const documentedRole: ProcessRole = processRoles.find((each) => each === role) ?? "supervisor";
  const bounding = hex(capabilityBits(capabilitiesOf(documentedRole, mode)));
  // The reporter has used its capabilities when it has become its own user, and has none from then on.
  const effective = documentedRole === "reporter" ? none : bounding;
  const common = { NoNewPrivs: "1", Seccomp: "2", CapInh: none, CapAmb: none };
  return { ...common, CapPrm: effective, CapEff: effective, CapBnd: bounding };
}

function limitOf(pid: number, name: string): string {
  const limits = readFileSync(`/proc/${pid}/limits`, "latin1");
  return new RegExp(`^${name} +(\\S+)`, "m").exec(limits)?.[1] ?? "";
}

const roles = ["supervisor", "standby", "warden", "examiner", "reporter"];

describe.skipIf(reason !== undefined)("every thread has exactly the documented rights", () => {
  for (const source of ["ebpf", "netlink"] as const)
    for (const enforcement of ["observe", "kill"] as const)
      test(`with source ${source} and enforcement ${enforcement}`, async () => {
        const policy = join(folder, "nothing.json");
        writeFileSync(policy, JSON.stringify({ role: "nothing", rules: [], default: "allow" }));
        const flags = ["--source", source, "--enforcement", enforcement, "--policy", policy];
        await using running = await Running.start(flags);
        const mode: PrivilegeMode = {
          source,
          network: true,
          enforcement,
          mail: false,
          setIdMail: false,
          evidence: false,
          exports: false,
        };
        await until("all five processes run", () => processes(running).size === roles.length);
        for (const [role, pid] of processes(running)) {
          const expected = documented(role, mode);
          const differing = () => threads(pid).filter(([, status]) => !Bun.deepEquals(status, expected));
          // A process that has just been started gives up its rights within milliseconds, and those that work have more
          // threads then, whose rights are tested as well.
          const fewest = role === "warden" || role === "reporter" ? 2 : 1;
          const isStarting = () => differing().length > 0 || threads(pid).length < fewest;
          const end = performance.now() + 3000;
          while (isStarting() && performance.now() < end) await Bun.sleep(20);
          expect([role, differing()]).toEqual([role, []]);
          expect(threads(pid).length).toBeGreaterThanOrEqual(fewest);
          expect([role, limitOf(pid, "Max core file size")]).toEqual([role, "0"]);
          const memory =
            role === "supervisor" || role === "standby" ? "unlimited" : expect.stringMatching(/^\d+$/);
          expect([role, limitOf(pid, "Max data size")]).toEqual([role, memory]);
        }
        expect([...processes(running).keys()].toSorted()).toEqual(roles.toSorted());
      }, 60_000);
});

test.skipIf(reason !== undefined)(
  "where sendmail works by its set-id bits, only supervisor and reporter could gain rights",
  async () => {
    const config = join(folder, "mail.yaml");
    writeFileSync(config, "mail: { to: [root], set_id: true }\n");
    await using running = await Running.start(["--config", config]);
    await until("all five processes run", () => processes(running).size === roles.length);
    const noNewPrivileges = () =>
      [...processes(running)].map(([role, pid]) => {
        const values = threads(pid).map(([, rights]) => rights.NoNewPrivs);
        return [role, [...new Set(values)].join()];
      });
    const expected = { supervisor: "0", standby: "0", warden: "1", examiner: "1", reporter: "0" };
    await until("they have given up their rights", () =>
      Bun.deepEquals(Object.fromEntries(noNewPrivileges()), expected),
    );
  },
  60_000,
);

describe.skipIf(reason !== undefined)("code that was injected into", () => {
  const least: PrivilegeMode = {
    source: "ebpf",
    network: true,
    enforcement: "observe",
    mail: false,
    setIdMail: false,
    evidence: false,
    exports: false,
  };
  let actor = "";

  beforeAll(() => {
    actor = join(folder, "actor");
    const source = join(import.meta.dir, "restricted-actor.ts");
    const build = Bun.spawnSync([
      process.execPath,
      "build",
      "--compile",
      "--format=esm",
      source,
      "--outfile",
      actor,
    ]);
    expect(build.exitCode).toBe(0);
  });

  /** What an actor in the place of `role` could do. */
  function injected(role: ProcessRole, mode: PrivilegeMode = least, uid = 0): Record<string, string> {
    const own = join(folder, `${role}-${uid}`);
    rmSync(own, { recursive: true, force: true });
    mkdirSync(join(own, "report"), { recursive: true });
    for (const path of [own, join(own, "report")]) {
      chownSync(path, uid, uid);
      chmodSync(path, 0o755);
    }
    const run = Bun.spawnSync([actor, role, JSON.stringify(mode), join(own, "report")], {
      uid,
      gid: uid,
      env: {},
    });
    expect(run.stderr.toString()).toBe("");
    return JSON.parse(run.stdout.toString());
  }

  const nobody = 65534;
  const refused = {
    execve: "EPERM",
    spawn: "EPERM",
    ptrace: "EPERM",
    process_vm_readv: "EPERM",
    kill: "EPERM",
  };

  test("the reporter starts no program, traces and signals nobody, and reads no other file", () => {
    expect(injected("reporter", least, nobody)).toMatchObject({
      ...refused,
      unshare: "EPERM",
      connect: "EPERM",
      "be inspected": "EPERM",
      "not be inspected": "ok",
      "executable memory": "EPERM",
      "too much memory": "ENOMEM",
      "read /etc/shadow": "EACCES",
      "read /etc/passwd": "ok",
      "read /var": "EACCES",
      "write own folder": "ok",
      "write elsewhere": "EACCES",
    });
  });

  test("the reporter that exports may connect, and still starts no program", () => {
    // ENOTSOCK: the kernel has looked at the descriptor.
    expect(injected("reporter", { ...least, exports: true }, nobody)).toMatchObject({
      ...refused,
      "executable memory": "EPERM",
      socket: "ok",
      connect: "ENOTSOCK",
    });
  });

  test("the reporter that mails may start programs, but traces nobody and gains no rights", () => {
    const outcome = injected("reporter", { ...least, mail: true }, nobody);
    expect(outcome).toMatchObject({
      spawn: "ok",
      ptrace: "EPERM",
      process_vm_readv: "EPERM",
      unshare: "EPERM",
    });
  });

  test("the warden opens no socket, connects nowhere, starts and signals nothing", () => {
    expect(injected("warden")).toMatchObject({
      problems: "",
      ...refused,
      unshare: "EPERM",
      socket: "EPERM",
      connect: "EPERM",
      "executable memory": "EPERM",
      "too much memory": "ENOMEM",
    });
    expect(injected("warden", { ...least, source: "netlink", enforcement: "kill" })).toMatchObject({
      ...refused,
      socket: "EPERM",
      connect: "EPERM",
    });
  });

  test("the examiner reads what it likes and changes nothing", () => {
    expect(injected("examiner")).toMatchObject({
      problems: "",
      ...refused,
      socket: "EPERM",
      connect: "EPERM",
      "read /var": "ok",
      "write own folder": "EACCES",
      "write elsewhere": "EACCES",
    });
  });

  test("the supervisor traces nobody, reads nobody's memory, and makes no namespaces", () => {
    const outcome = injected("supervisor");
    expect(outcome).toMatchObject({
      execve: "ENOENT",
      ptrace: "EPERM",
      process_vm_readv: "EPERM",
      unshare: "EPERM",
    });
  });
});

describe.skipIf(reason !== undefined)("where a process cannot give up its rights", () => {
  /** CAP_SETPCAP is missing, so the bounding set stays. */
  const inside = ["setpriv", "--bounding-set", "-setpcap"];

  function run(config: string): { readonly code: number | null; readonly stderr: string } {
    const file = join(folder, "config.yaml");
    writeFileSync(file, config);
    const flags = ["--config", file, "--state-dir", join(folder, "state"), "--listen", "off"];
    const child = Bun.spawnSync([...inside, binary, "run", ...flags], {
      timeout: 1500,
      killSignal: "SIGTERM",
    });
    return { code: child.exitCode, stderr: child.stderr.toString() };
  }

  test("treewarden says so and starts", () => {
    const { code, stderr } = run("{}\n");
    expect(stderr).toContain("treewarden: the bounding sets of capabilities are not reduced\n");
    expect(code).toBe(0);
  }, 20_000);

  test("with hardening: required it does not start, and says what is missing", () => {
    const { code, stderr } = run("hardening: required\n");
    expect(stderr).toContain("hardening: required, but the bounding sets of capabilities are not reduced\n");
    expect(code).toBe(3);
  }, 20_000);
});
