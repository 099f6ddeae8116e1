// `treewarden warden`: internal, started by the supervisor with inherited descriptors.
import { Timer } from "../linux/timerfd.ts";
import type { LastResort } from "../sensor/open.ts";
import { DEAD_MAN_INTERVAL_NS, inherited, readWardenControl } from "../supervisor/inherited.ts";
import { newestOf } from "../warden/signed-policies.ts";
import { runWarden } from "../warden/warden.ts";
import { parseWardenPlan, type WardenPlan } from "../warden/warden-plan.ts";
import { armedErrors } from "./enforcement.ts";
import { openSource } from "./open-source.ts";
import { warn } from "./output.ts";
import { loadingSettings, policyOrError } from "./policies.ts";

/** `ebpfRefusal`: why the sensor must not use eBPF; undefined if it may. */
export async function warden(text: string, ebpfRefusal: string | undefined): Promise<void> {
  const plan: WardenPlan = parseWardenPlan(text);
  const crashing: LastResort | undefined =
    ebpfRefusal === undefined ? undefined : { source: "ebpf", reason: ebpfRefusal };
  const first = policyOrError(plan.config, "to decide");
  // Further than the state directory, which may be full.
  let newest = first.signed;
  await runWarden(
    {
      run: plan.run,
      config: plan.config,
      origin: plan.origin,
      runStartedMs: plan.startedMs,
      openSensor: (source, reader, lastResort) =>
        openSource(
          { source },
          {
            reader,
            argumentBytes: plan.config.arguments.limit,
            environmentNames: plan.config.environment.read,
            enforces: plan.config.enforcement !== "observe",
            lastResort: lastResort ?? crashing,
          },
        ),
      warn,
      *loadingPolicy() {
        const result = yield* loadingSettings(plan.config, "to decide", newest);
        const unarmed = result.ok ? armedErrors(plan.config, result.policy, undefined) : [];
        if (unarmed.length > 0) return { ok: false, errors: unarmed };
        if (result.ok) newest = newestOf(newest, result.signed);
        return result;
      },
      reportFd: inherited.report,
      controlFd: inherited.control,
      readOrders: () => readWardenControl(),
      examinerFd: inherited.examiner,
      deadMan: { timer: new Timer(inherited.deadMan), intervalNs: DEAD_MAN_INTERVAL_NS },
    },
    first,
  );
}
