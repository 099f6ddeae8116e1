// Why the kernel does not take the programs, and what to do about it.
import { BtfError } from "../../linux/bpf/btf.ts";
import { VerifierError } from "../../linux/bpf/program.ts";
import { EPERM, SystemCallError } from "../../linux/libc.ts";
import { SensorUnavailable } from "../unavailable.ts";

/** The error of opening the sensor, with a hint where there is one. */
export function explainRefusal(error: unknown): unknown {
  const cause = { cause: error };
  if (error instanceof BtfError) {
    return new SensorUnavailable(
      error.message,
      "the kernel needs CONFIG_DEBUG_INFO_BTF=y; use --source netlink",
      cause,
    );
  }
  if (!(error instanceof SystemCallError || error instanceof VerifierError)) return error;
  const message = `eBPF: ${error.message}`;
  if (error.errno === EPERM) {
    return new SensorUnavailable(
      message,
      "run as root, or give it CAP_BPF and CAP_PERFMON; before Linux 5.11 also run `ulimit -l unlimited` first, or set LimitMEMLOCK=infinity in its unit",
      cause,
    );
  }
  const hint =
    error instanceof VerifierError
      ? "use --source netlink, and report the kernel's version with this message"
      : "the kernel needs CONFIG_BPF_SYSCALL=y and at least Linux 5.8; use --source netlink";
  return new SensorUnavailable(message, hint, cause);
}

/** Why nothing can be prevented where the programs cannot be loaded with it. Throws what is no refusal of the kernel's. */
export function whyNotPrevented(error: unknown): string {
  if (!(error instanceof BtfError || error instanceof SystemCallError || error instanceof VerifierError))
    throw error;
  return `the kernel does not take the programs that prevent: ${error.message}`;
}
