// What this kernel, and the rights of this process, allow of what treewarden takes from its processes.
import { capabilityBits, permittedCapabilities } from "../linux/capabilities.ts";
import { landlockVersion } from "../linux/landlock.ts";
import { hasSystemCallFilters } from "../linux/seccomp.ts";

export interface MissingHardening {
  /** What treewarden does without. */
  readonly lack: string;
  readonly fix: string;
}

/** What is missing here; empty if every process can give up all that it does not need. */
export function missingHardening(): readonly MissingHardening[] {
  const missing: MissingHardening[] = [];
  if (!hasSystemCallFilters())
    missing.push({ lack: "system calls are not filtered", fix: "Linux 4.14 with CONFIG_SECCOMP_FILTER=y" });
  if (landlockVersion() === 0)
    missing.push({
      lack: "examiner and reporter can open files that they do not need",
      fix: "Linux 5.13 with CONFIG_SECURITY_LANDLOCK=y and landlock among the kernel's lsm=",
    });
  if ((permittedCapabilities() & capabilityBits(["CAP_SETPCAP"])) === 0n)
    missing.push({
      lack: "the bounding sets of capabilities are not reduced",
      fix: "CAP_SETPCAP for treewarden run, in the unit's CapabilityBoundingSet= for example",
    });
  return missing;
}
