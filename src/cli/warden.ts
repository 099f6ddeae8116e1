// `treewarden warden`: internal, started by the supervisor with inherited descriptors.

import type { Config } from "../config/config.ts";
import { carrierNames } from "../fingerprint/carriers.ts";
import { closeDescriptor } from "../linux/descriptor.ts";
import { decidingFile } from "../linux/root-file.ts";
import { ignoreSignals } from "../linux/signalfd.ts";
import { Timer } from "../linux/timerfd.ts";
import type { PolicyError } from "../policy/document.ts";
import { digestOf } from "../policy/signature.ts";
import { version } from "../report/version.ts";
import type { KeptObjects, ObjectKeeper } from "../sensor/object-keeper.ts";
import type { LastResort } from "../sensor/open.ts";
import type { PreventionOptions } from "../sensor/prevention/options.ts";
import {
  AS_SUCCESSOR,
  DEAD_MAN_INTERVAL_NS,
  handledSignals,
  inherited,
  readWardenControl,
  sendWardenMessage,
} from "../supervisor/inherited.ts";
import { readKept, sendKept } from "../supervisor/kept-objects.ts";
import { afterReload, type LastGood, readLastGood } from "../warden/last-good.ts";
import { newestOf } from "../warden/signed-policies.ts";
import { prepareSuccession } from "../warden/succession.ts";
import { readRescueUser } from "../warden/user-names.ts";
import { runWarden } from "../warden/warden.ts";
import type { ConfigurationOrigin, SettingsResult, WardenOptions } from "../warden/warden-options.ts";
import { parseWardenPlan, type WardenPlan } from "../warden/warden-plan.ts";
import { armedErrors } from "./enforcement.ts";
import { openSource } from "./open-source.ts";
import { CommandError, warn } from "./output.ts";
import { loadingSettings, loadSettings, policyOrError } from "./policies.ts";
import { copyingFiles, keptFiles } from "./setting-files.ts";

/** More than the largest configuration file, which is read again only to be copied. */
const CONFIG_LIMIT = 1 << 20;

/**
 * `ebpfRefusal`: why the sensor must not use eBPF; undefined or empty if it may. `as`: AS_SUCCESSOR if it replaces a warden
 * that runs.
 */
export async function warden(
  text: string,
  ebpfRefusal: string | undefined,
  as: string | undefined,
): Promise<void> {
  // systemd sends SIGTERM to all processes of a unit; the warden ends by the supervisor's order, and reports that it does.
  ignoreSignals(handledSignals);
  const plan: WardenPlan = parseWardenPlan(text);
  const crashing: LastResort | undefined =
    ebpfRefusal === undefined || ebpfRefusal === "" ? undefined : { source: "ebpf", reason: ebpfRefusal };
  const start = startOf(plan);
  const { config } = start;
  const kept = new WardenObjects();
  const openSensor: WardenOptions["openSensor"] = (source, reader, lastResort) => {
    const opened = openSource(
      { source },
      {
        reader,
        argumentBytes: config.arguments.limit,
        environmentNames: config.environment.read,
        enforces: config.enforcement !== "observe",
        ...(config.enforcement === "prevent" ? { prevention: preventionOf(config) } : {}),
        denialLimitMs: config.prevent.without_warden === "keep" ? 0 : undefined,
        keeper: kept,
        lastResort: lastResort ?? crashing,
      },
    );
    if (opened.sensor.source !== "ebpf") kept.keepNothing();
    return opened;
  };
  const isSuccessor = as === AS_SUCCESSOR;
  const succession = isSuccessor
    ? prepareSuccession({
        config,
        controlFd: inherited.control,
        openSensor,
        sendReady: () => void sendWardenMessage("ready"),
        readOrders: () => readWardenControl(),
      })
    : undefined;
  if (isSuccessor && succession === undefined) return;
  // Further than the state directory, which may be full.
  let newest = start.loaded.signed;
  let copies = new Map<string, Buffer>();
  await runWarden(
    {
      run: plan.run,
      config,
      lastGood: start.lastGood,
      startConfig: plan.config,
      runStartedMs: plan.startedMs,
      outputProblems: plan.outputProblems,
      exponentialHistograms: plan.exponentialHistograms,
      openSensor,
      warn,
      async readSettings() {
        copies = new Map();
        return await readSettings(plan, copies);
      },
      *loadingPolicy(settings) {
        const files = copyingFiles(copies);
        const result = yield* loadingSettings(settings.config, "to decide", newest, files);
        if (!result.ok) return result;
        const unarmed = armedErrors(settings.config, result.policy, settings.origin.file);
        if (unarmed.length > 0) return { ok: false, errors: unarmed };
        newest = newestOf(newest, result.signed);
        const { config: inForce, origin } = settings;
        const lastGood = lastGoodOf(plan, { config: inForce, origin }, result.names, copies);
        copies = new Map();
        return { ...result, lastGood };
      },
      reportFd: inherited.report,
      controlFd: inherited.control,
      keepNothing: () => kept.keepNothing(),
      readOrders: () => readWardenControl().filter((order) => order !== "proceed"),
      reportWatching(watching) {
        // A full socket means that the supervisor has not read older ones; the next change reports again.
        sendWardenMessage({ watching });
      },
      requestSuccessor: () => sendWardenMessage("successor"),
      succession,
      examinerFd: inherited.examiner,
      deadMan: { timer: new Timer(inherited.deadMan), intervalNs: DEAD_MAN_INTERVAL_NS },
    },
    start.loaded,
  );
}

function preventionOf(config: Config): PreventionOptions {
  const { prevent } = config;
  const { uid: rescueUid } = readRescueUser(config);
  const options = { carriers: carrierNames(), maxPerMinute: prevent.max_per_minute, rescueUid };
  return prevent.without_warden === "keep" ? { ...options, limitMs: 0 } : options;
}

/** What the supervisor keeps of this warden's source of events, and what it has kept of the one before. */
class WardenObjects implements ObjectKeeper {
  readonly build = version;
  private left = readKept(inherited.kept);

  takeLeft(): KeptObjects | undefined {
    const { left } = this;
    this.left = undefined;
    return left;
  }

  keep(objects: KeptObjects): void {
    // If the supervisor does not read its messages, the next warden begins anew, or with what was kept before.
    sendKept(inherited.control, objects);
  }

  keepNothing(): void {
    this.takeLeft()?.descriptors.forEach(closeDescriptor);
    this.keep({ description: "", descriptors: [] });
  }
}

interface WardenStart {
  readonly loaded: ReturnType<typeof policyOrError>;
  /** What is in force. */
  readonly config: Config;
  readonly lastGood: LastGood;
}

/**
 * A warden that is restarted goes on with what is in force, whatever the files on disk are by now; so does a run that
 * begins with what was last in force. Any other reads the files.
 */
function startOf(plan: WardenPlan): WardenStart {
  const kept = readLastGood(plan.config.state_directory);
  const isRestart = kept?.run === plan.run;
  if (kept !== undefined && (isRestart || plan.problems.length > 0)) {
    const read = isRestart ? kept.config : plan.config;
    const config = afterReload(plan.config, read);
    const loaded = loadSettings(config, "to decide", keptFiles(kept));
    const problems = isRestart ? kept.problems : [...plan.problems];
    if (loaded.ok) return { loaded, config, lastGood: { ...kept, run: plan.run, config: read, problems } };
  }
  const copies = new Map<string, Buffer>();
  const loaded = policyOrError(plan.config, "to decide", copyingFiles(copies));
  const { file, digest } = plan.origin;
  const content =
    file === undefined ? undefined : copyingFiles(copies).read(file, decidingFile(CONFIG_LIMIT));
  // It was changed since `run` read it: then no copy of it belongs to what is in force.
  if (file !== undefined && (content?.ok !== true || digestOf(content.bytes) !== digest)) copies.delete(file);
  return { loaded, config: plan.config, lastGood: lastGoodOf(plan, plan, loaded.names, copies) };
}

function lastGoodOf(
  { run }: WardenPlan,
  { config, origin }: Pick<WardenPlan, "config" | "origin">,
  policies: readonly string[],
  copies: ReadonlyMap<string, Buffer>,
): LastGood {
  return {
    run,
    sinceMs: Date.now(),
    origin: savedOrigin(origin),
    policies: [...policies],
    files: [...copies].map(([path, bytes]) => [path, bytes.toString("base64")]),
    problems: [],
    config,
  };
}

function savedOrigin({ file, digest, why }: ConfigurationOrigin): LastGood["origin"] {
  return { file: file ?? null, digest: digest ?? null, why: why ?? null };
}

/** The configuration as a reload finds it. The parser of its language is loaded only then, to save memory. */
async function readSettings(plan: WardenPlan, copies: Map<string, Buffer>): Promise<SettingsResult> {
  try {
    const { runConfig, withoutSecrets } = await import("./run-config.ts");
    const { config, origin } = runConfig(plan.settings, copyingFiles(copies));
    // The state directory is this run's, whatever the file has now.
    const { state_directory } = plan.config;
    return { ok: true, settings: { config: { ...withoutSecrets(config), state_directory }, origin } };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return { ok: false, errors: error.lines.map((message) => configurationError(message, error.hint)) };
  }
}

/** `message` begins with the file and its place. */
function configurationError(message: string, fix: string | undefined): PolicyError {
  const match = /^(.+?):(\d+):(\d+): (.*)$/s.exec(message);
  if (match === null) return { file: "configuration", line: 0, column: 0, message, fix };
  const [, file = "", line, column, what = ""] = match;
  return { file, line: Number(line), column: Number(column), message: what, fix };
}
