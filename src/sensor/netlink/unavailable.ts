// Why the process connector cannot be used here, and what to do about it.
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { SystemCallError } from "../../linux/libc.ts";
import { isInHostNamespace } from "../../linux/namespaces.ts";
import { SensorUnavailable } from "../unavailable.ts";

const { EPERM, ECONNREFUSED, EPROTONOSUPPORT } = constants.errno;

const kernelHint = "the kernel needs CONFIG_CONNECTOR=y and CONFIG_PROC_EVENTS=y";

/** What a failed step of the subscription means; other errors are given back as they are. */
export function explained(error: unknown): unknown {
  if (!(error instanceof SystemCallError)) return error;
  switch (error.errno) {
    case EPERM:
      return new SensorUnavailable(
        `process connector: not permitted (${error.message})`,
        "run as root, or give it CAP_NET_ADMIN",
      );
    case ECONNREFUSED:
      return new SensorUnavailable(
        "process connector: nobody in the kernel answers in this network namespace",
        `run in the host's network namespace; ${kernelHint}`,
      );
    case EPROTONOSUPPORT:
      return new SensorUnavailable("process connector: not in this kernel", kernelHint);
    default:
      return error;
  }
}

/** The subscription was answered with an error. */
export function refused(errno: number): SensorUnavailable {
  return new SensorUnavailable(
    `process connector: the kernel refused the subscription (errno ${errno})`,
    errno === EPERM ? "run as root, or give it CAP_NET_ADMIN" : kernelHint,
  );
}

/** The subscription was not answered: the kernel says nothing to whom it does not want to listen. */
export function unanswered(): SensorUnavailable {
  const message = "process connector: the kernel did not answer the subscription";
  const outside = (["pid", "user"] as const).filter((kind) => !isInHostNamespace(kind));
  if (outside.length > 0) {
    return new SensorUnavailable(
      `${message}: this is not the host's ${outside.join(" and ")} namespace`,
      "run it on the host, or in a container with the host's namespaces (docker: --pid=host --network=host --userns=host)",
    );
  }
  if (!isRegistered()) return new SensorUnavailable(message, kernelHint);
  return new SensorUnavailable(message, "another answer was lost under load, perhaps: try again");
}

/** /proc/net/connector lists who listens in the kernel; true if it cannot be read. */
function isRegistered(): boolean {
  try {
    return /^cn_proc\b/m.test(readFileSync("/proc/net/connector", "latin1"));
  } catch {
    return true;
  }
}
