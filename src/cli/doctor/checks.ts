// The checks of `doctor` other than those of sensors. Each has a result; a failed check also has a fix.

import { accessSync, constants, existsSync, lstatSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { release } from "node:os";
import { type Config, configFile, defaultConfig } from "../../config/config.ts";
import { actingRules, isArmedBy } from "../../enforcement/arming.ts";
import { missingHardening } from "../../hardening/support.ts";
import { capabilityBits, permittedCapabilities } from "../../linux/capabilities.ts";
import { pidfdOpen } from "../../linux/pidfd.ts";
import { formatPolicyError } from "../../policy/document.ts";
import { distrust } from "../../supervisor/state-directory.ts";
import { readRescueUser } from "../../warden/user-names.ts";
import { readConfigFile } from "../configuration.ts";
import { armedErrors, armedExample, enforcementOf, whyOnlyObserved } from "../enforcement.ts";
import { CommandError, type ExitCode } from "../output.ts";
import { loadSettings } from "../policies.ts";
import { checkNamespace, reporterUserOf } from "../refusals.ts";
import { actingRulesText } from "../rules-text.ts";
import { filesOnDisk } from "../setting-files.ts";
import { checkNetwork } from "./network.ts";
import { checkPrevention } from "./prevention.ts";

export interface DoctorCheck {
  readonly name: string;
  /** `missing`: treewarden works with fewer features. `wrong`: files or settings keep it from starting. */
  readonly status: "ok" | "missing" | "wrong";
  readonly detail: string;
  readonly fix?: string;
  /** The exit code of `run` for this, if it is not the one for wrong use. */
  readonly code?: ExitCode;
}

/** `config`: path of a configuration file other than the default. */
export function runChecks(config: string | undefined): {
  readonly checks: readonly DoctorCheck[];
  /** The configuration that was checked, or the default where it has errors. */
  readonly config: Config;
} {
  const read = configuration(config);
  const checks = [
    kernel(),
    user(),
    btf(),
    processFileSystem(),
    pidNamespace(),
    pidDescriptors(),
    read.check,
    policies(read.config, read.file),
    enforcement(read.config, read.file),
    reporter(read.config),
    ...(read.config.rescue_user === undefined ? [] : [rescueUser(read.config)]),
    stateDirectory(read.config.state_directory),
    hardening(read.config),
    checkNetwork(read.config),
    ...(read.config.enforcement === "prevent" ? [checkPrevention(read.config)] : []),
  ];
  return { checks, config: read.config };
}

function kernel(): DoctorCheck {
  return { name: "kernel", status: "ok", detail: `Linux ${release()}, ${process.arch}` };
}

function user(): DoctorCheck {
  const name = "user";
  if (process.geteuid?.() === 0) return { name, status: "ok", detail: "root" };
  return {
    name,
    status: "missing",
    detail: `user ${process.geteuid?.()}, not root`,
    fix: "run it with sudo",
  };
}

function btf(): DoctorCheck {
  const name = "kernel types (BTF)";
  const path = "/sys/kernel/btf/vmlinux";
  if (existsSync(path))
    return { name, status: "ok", detail: `${path}, ${Math.round(statSync(path).size / 1024)} KiB` };
  return {
    name,
    status: "missing",
    detail: `no ${path}`,
    fix: "a kernel with CONFIG_DEBUG_INFO_BTF=y; the proc connector is used without it",
  };
}

function processFileSystem(): DoctorCheck {
  const name = "/proc";
  const options = /^\S+ \/proc proc (\S+)/m.exec(readFileSync("/proc/self/mounts", "latin1"))?.[1];
  if (options === undefined) {
    return { name, status: "missing", detail: "not mounted", fix: "mount -t proc proc /proc" };
  }
  if (/hidepid=(?!0|off)/.test(options) && process.geteuid?.() !== 0) {
    return {
      name,
      status: "missing",
      detail: `mounted with ${options}`,
      fix: "run as root, to whom nothing is hidden",
    };
  }
  return canReadPrograms()
    ? { name, status: "ok", detail: "every process can be read" }
    : {
        name,
        status: "missing",
        detail: "the programs of other users cannot be read",
        fix: "run as root, or give it CAP_SYS_PTRACE",
      };
}

/**
 * Whether the programs of other users can be read (proc_pid_exe(5)): with CAP_SYS_PTRACE, or if that of process 1 can.
 * With the capability process 1 is not asked, because some hosts hide their init, and nothing else, from root as well.
 */
function canReadPrograms(): boolean {
  if ((permittedCapabilities() & capabilityBits(["CAP_SYS_PTRACE"])) !== 0n) return true;
  try {
    return readlinkSync("/proc/1/exe") !== "";
  } catch {
    return false;
  }
}

function pidNamespace(): DoctorCheck {
  const name = "pid namespace";
  try {
    checkNamespace();
    return { name, status: "ok", detail: "the host's" };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const { message: detail, hint, code } = error;
    return { name, status: "wrong", detail, code, ...(hint === undefined ? {} : { fix: hint }) };
  }
}

function pidDescriptors(): DoctorCheck {
  const name = "pidfd";
  try {
    const handle = pidfdOpen(process.pid);
    handle?.[Symbol.dispose]();
    return {
      name,
      status: "ok",
      detail: "a signal reaches the process that was meant, never one that got its pid",
    };
  } catch {
    return {
      name,
      status: "missing",
      detail: "the kernel has no pidfd_open",
      fix: "Linux 5.3 or later; without it nothing is killed",
    };
  }
}

function configuration(named: string | undefined): {
  readonly check: DoctorCheck;
  readonly config: Config;
  readonly file: string | undefined;
} {
  const name = "configuration";
  let config = defaultConfig();
  let file: string | undefined;
  try {
    const read = readConfigFile(named, "to decide", filesOnDisk, "turn off");
    ({ config, file } = read);
    if (read.outputProblems.length > 0) {
      const wrong = read.outputProblems.map(({ text }) => text).join("; ");
      return { check: { name, status: "wrong", detail: wrong, fix: "correct the file" }, config, file };
    }
    const detail = file ?? `no ${configFile}: the defaults are used`;
    return { check: { name, status: "ok", detail }, config, file };
  } catch (error) {
    const detail = error instanceof CommandError ? error.lines.join("; ") : String(error);
    const fix = (error instanceof CommandError ? error.hint : undefined) ?? "correct the file";
    return {
      check: { name, status: "wrong", detail, fix: `${fix}; until then treewarden does not start` },
      config,
      file,
    };
  }
}

function policies(config: Config, file: string | undefined): DoctorCheck {
  const name = "policies";
  const result = loadSettings(config, "to decide");
  const errors = result.ok ? armedErrors(config, result.policy, file) : result.errors;
  if (result.ok && errors.length === 0) {
    const signed = config.policy_keys.length === 0 ? "" : ", signed";
    return {
      name,
      status: "ok",
      detail: `${result.policy.role}, ${result.policy.rules.length} rules${signed}`,
    };
  }
  const [first] = errors;
  const detail = first === undefined ? "cannot be loaded" : formatPolicyError(first);
  return { name, status: "wrong", detail, fix: first?.fix ?? "treewarden policy check shows every error" };
}

function enforcement(config: Config, file: string | undefined): DoctorCheck {
  const name = "enforcement";
  const why = whyOnlyObserved(config, undefined, file);
  if (why !== undefined)
    return { name, status: "missing", detail: why, fix: `name the rules that may act: ${armedExample}` };
  const { enforcement: inForce, armed } = enforcementOf(config, undefined, file);
  if (inForce === "observe") return { name, status: "ok", detail: "observe: nothing is killed" };
  const result = loadSettings(config, "to decide");
  if (!result.ok)
    return {
      name,
      status: "missing",
      detail: "not checked: the policy cannot be loaded",
      fix: "correct the policy",
    };
  const acting = actingRules(result.policy);
  const may = acting.filter((rule) => isArmedBy(armed, rule)).length;
  return {
    name,
    status: "ok",
    detail: `${inForce}: ${may} of ${acting.length} ${actingRulesText(acting)} are armed by the configuration`,
  };
}

function reporter(config: Config): DoctorCheck {
  const name = "reporter's user";
  const user = reporterUserOf(config);
  if (user === null)
    return { name, status: "ok", detail: "not checked: only root can change to another user" };
  if (user === "transient")
    return { name, status: "ok", detail: "a number that nobody has, chosen at the first start" };
  if (!("refusal" in user)) return { name, status: "ok", detail: `uid ${user.uid}, gid ${user.gid}` };
  const fix = "add a system user treewarden, or name another one as reporter_user in the configuration";
  return { name, status: "wrong", detail: user.refusal, fix };
}

function rescueUser(config: Config): DoctorCheck {
  const name = "rescue user";
  const { uid, problem } = readRescueUser(config);
  if (problem !== undefined)
    return {
      name,
      status: "missing",
      detail: problem,
      fix: "add the user, or correct rescue_user in the configuration",
    };
  if (!existsSync("/proc/self/loginuid"))
    return {
      name,
      status: "missing",
      detail: "the kernel keeps no login users: no session is recognised",
      fix: "a kernel with CONFIG_AUDIT=y",
    };
  return { name, status: "ok", detail: `uid ${uid}: nothing is killed in its sessions` };
}

function stateDirectory(path: string): DoctorCheck {
  const name = "state directory";
  try {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined)
      return { name, status: "ok", detail: `${path}, will be created at the first start` };
    accessSync(path, constants.W_OK);
    const reason = distrust(path);
    if (reason === undefined) return { name, status: "ok", detail: path };
    const fix =
      "correct it, or name another directory as state_directory in the configuration; until then treewarden does not start";
    return { name, status: "wrong", detail: reason, fix };
  } catch {
    return {
      name,
      status: "missing",
      detail: `${path} cannot be written`,
      fix: "run it with sudo, or name another directory as state_directory in the configuration",
    };
  }
}

function hardening({ hardening: wanted }: Config): DoctorCheck {
  const name = "hardening";
  const missing = process.geteuid?.() === 0 ? missingHardening() : [];
  if (missing.length === 0)
    return { name, status: "ok", detail: "every process gives up the rights that it does not need" };
  return {
    name,
    status: wanted === "required" ? "wrong" : "missing",
    detail: missing.map(({ lack }) => lack).join("; "),
    fix: missing.map(({ fix }) => fix).join("; "),
  };
}
