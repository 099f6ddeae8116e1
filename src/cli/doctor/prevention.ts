// Whether the kernel can end programs before their first instruction on this host, and what of it is missing: the programs for it
// are attached for a moment, and close nothing.
import { readFileSync, statfsSync } from "node:fs";
import type { Config } from "../../config/config.ts";
import { carrierNames } from "../../fingerprint/carriers.ts";
import { openSensorOf } from "../../sensor/open.ts";
import { keepsIdentities } from "../../sensor/prevention/file-systems.ts";
import { FactsReader } from "../../sensor/procfs/facts-reader.ts";
import { SensorUnavailable } from "../../sensor/unavailable.ts";
import { sensors } from "../../vocabulary/sensors.ts";
import type { DoctorCheck } from "./checks.ts";

const name = "prevention";
const ARGUMENT_BYTES = 4096;
const KILLED = "programs are killed once they have begun";
/** Where nearly all programs are that a policy names. */
const PROGRAMS = "/usr/bin";

/** For `enforcement: prevent`. A host that cannot prevent kills all the same. */
export function checkPrevention({ source }: Config): DoctorCheck {
  if (source !== "auto" && source !== "ebpf") {
    const detail = `the ${sensors[source].label} cannot prevent: ${KILLED}`;
    return { name, status: "missing", detail, fix: "source: auto or ebpf" };
  }
  const missing = whyImpossible();
  if (missing !== undefined) return { ...missing, detail: `${missing.detail}: ${KILLED}` };
  const what = "what a rule kills whatever it is dies before its first instruction";
  if (!keepsIdentities(statfsSync(PROGRAMS).type))
    return {
      name,
      status: "missing",
      detail: `${what}, but only where it may execute nothing: the file system of ${PROGRAMS} keeps no identities of files`,
      fix: "programs on ext4, xfs, btrfs, f2fs or tmpfs; until then the other processes are left to user space",
    };
  return {
    name,
    status: "ok",
    detail: isRealTime() ? `${what}, usually: the kernel is a real-time one (PREEMPT_RT)` : what,
  };
}

/** For any other enforcement: nothing is missing, but root may want to know. */
export function checkPossiblePrevention(): DoctorCheck {
  const missing = whyImpossible();
  const detail =
    missing === undefined
      ? "not asked for; this host can do it (enforcement: prevent)"
      : `not asked for, and not possible here: ${missing.detail}`;
  return { name, status: "ok", detail };
}

/** undefined if the kernel takes the programs. */
function whyImpossible(): DoctorCheck | undefined {
  try {
    using reader = new FactsReader();
    const prevention = { carriers: carrierNames() };
    using sensor = openSensorOf("ebpf", { reader, argumentBytes: ARGUMENT_BYTES, prevention });
    if (sensor.prevention !== undefined) return undefined;
    const detail = sensor.preventionProblem ?? "the kernel cannot prevent";
    return { name, status: "missing", detail, fix: "Linux 5.8 or newer" };
  } catch (error) {
    if (!(error instanceof SensorUnavailable)) throw error;
    const { message: detail, hint } = error;
    return { name, status: "missing", detail, ...(hint === undefined ? {} : { fix: hint }) };
  }
}

/** /sys/kernel/realtime is there, with a 1, on kernels with PREEMPT_RT (kernel/ksysfs.c). */
function isRealTime(): boolean {
  try {
    return readFileSync("/sys/kernel/realtime", "latin1").trim() === "1";
  } catch {
    return false;
  }
}
