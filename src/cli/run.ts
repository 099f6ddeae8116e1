// `treewarden run`: checks what root has written down, then becomes the supervisor.
import { randomUUID } from "node:crypto";
import { Command, Option } from "commander";
import { type Config, enforcements } from "../config/config.ts";
import { parseAddress } from "../linux/socket-address.ts";
import type { ReporterPlan } from "../reporter/reporter-options.ts";
import { openTelemetryVariables } from "../supervisor/environment.ts";
import { supervise } from "../supervisor/supervise.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { sourceChoices } from "../vocabulary/sensors.ts";
import { writeBase } from "../warden/base-file.ts";
import { momentNow, ordersInForce, readOverrides } from "../warden/overrides-store.ts";
import type { ConfigurationOrigin } from "../warden/warden-options.ts";
import type { WardenPlan } from "../warden/warden-plan.ts";
import { learnFromStart, learnSeconds } from "./baseline/learn.ts";
import { armedErrors, armedExample, enforcementOf, printWhatMayAct, whyOnlyObserved } from "./enforcement.ts";
import {
  computeBase,
  configOption,
  type HostFlags,
  hostConfigFile,
  policyOption,
  stateDirOption,
} from "./host-settings.ts";
import { CommandError, type ExitCode, exitCodes, hint, mayColour, warn } from "./output.ts";
import { type OutputFormat, streamFormat, streamOption } from "./output-format.ts";
import { policyOrError, policyRefusal } from "./policies.ts";
import { checkHardening, checkNamespace, checkRunnable, reporterUserName } from "./refusals.ts";

interface RunFlags extends HostFlags {
  readonly source?: Config["source"];
  readonly enforcement?: Config["enforcement"];
  readonly listen?: string;
  readonly output?: OutputFormat | "none";
  readonly all?: boolean;
  readonly learn?: boolean;
  readonly for?: string;
}

export function runCommand(): Command {
  return new Command("run")
    .description("watch this host and judge every program that starts")
    .addOption(configOption())
    .addOption(policyOption())
    .addOption(
      new Option("--source <source>", "event source (default: the configuration's, else auto)").choices(
        sourceChoices,
      ),
    )
    .addOption(
      new Option(
        "--enforcement <what>",
        "what verdicts may do (default: the configuration's, else observe)",
      ).choices(enforcements),
    )
    .option("--listen <address:port>", "address of the HTTP endpoint for Prometheus, or off")
    .addOption(stateDirOption())
    .addOption(streamOption("none"))
    .option("--all", "print every exec, not only new trees and verdicts")
    .option("--learn", "learn the baseline while observing; resumes a learning run in progress")
    .option(
      "--for <duration>",
      "with --learn: end after this long without lost events, such as 24h (default: until stopped)",
    )
    .action((flags: RunFlags) => {
      process.exitCode = run(flags);
    });
}

function run(flags: RunFlags): ExitCode {
  const { config, origin } = configOf(flags);
  const { file, why } = origin;
  checkRunnable(config);
  if (process.geteuid?.() !== 0) {
    throw new CommandError(
      exitCodes.notAllowed,
      "only root may watch every process",
      "run it with sudo, or as a systemd service",
    );
  }
  checkNamespace();
  if (flags.for !== undefined && flags.learn !== true)
    throw new CommandError(exitCodes.usage, "--for needs --learn", "add --learn");
  const learning = flags.learn === true ? { seconds: learnSeconds(flags.for) } : undefined;
  checkHardening(config);
  // Reports a broken policy before anything is started; the warden loads it again by itself.
  const { policy } = policyOrError(config, "to decide");
  const unarmed = armedErrors(config, policy, file);
  if (unarmed.length > 0) throw policyRefusal("the configuration", unarmed);
  if (why !== undefined) {
    warn(why);
    hint(`name the rules that may act: ${armedExample}`);
  }
  const stored = readOverrides(config.state_directory);
  for (const { text } of stored.problems) warn(text);
  printWhatMayAct(config, policy, ordersInForce(config.state_directory, stored, momentNow()));
  const output = streamFormat(flags.output);
  const plan: WardenPlan = {
    run: `tw-${randomUUID()}`,
    config: withoutSecrets(config),
    origin,
    startedMs: Date.now(),
  };
  const reporter: Omit<ReporterPlan, "user"> = {
    options: { run: plan.run, config, output, all: flags.all === true, colour: mayColour(process.stdout) },
    // The reporter cannot read the host's files, and shows local times.
    environment: {
      TZ: Intl.DateTimeFormat().resolvedOptions().timeZone,
      ...openTelemetryVariables(process.env),
    },
  };
  return asExitCode(
    supervise({
      runId: plan.run,
      plans: (user) => ({
        warden: JSON.stringify(plan),
        reporter: JSON.stringify({ user, ...reporter } satisfies ReporterPlan),
        examiner: JSON.stringify(plan),
      }),
      sensorFallback: config.source === "auto",
      // The first exec is judged with this host's own base system; from then on the examiner tells of changes.
      prepare: () => {
        if (learning !== undefined) learnFromStart(config.state_directory, learning.seconds);
        return prepareBase(config);
      },
      stateDirectory: config.state_directory,
      reporterUser: reporterUserName(config),
      environment: process.env,
    }),
  );
}

/** Only the reporter exports: nobody else is given the headers, which often are a token. */
function withoutSecrets(config: Config): Config {
  return { ...config, otlp: { ...config.otlp, headers: {} } };
}

/**
 * Without it names come from the embedded list: no reason not to start, and a full disk least of all. Gives the package
 * database's folder.
 */
function prepareBase(config: Config): string | undefined {
  let folder: string | undefined;
  try {
    const { base, packages } = computeBase(config);
    folder = packages?.folder;
    writeBase(config.state_directory, base);
  } catch (error) {
    warn(`cannot save the base list: ${messageOf(error)}`);
  }
  return folder;
}

function asExitCode(code: number): ExitCode {
  return code === 0 || code === 1 || code === 2 || code === 3 ? code : exitCodes.fault;
}

interface RunConfig {
  readonly config: Config;
  readonly origin: ConfigurationOrigin;
}

function configOf(flags: RunFlags): RunConfig {
  const { config, file, digest } = hostConfigFile(flags, "to decide");
  if (flags.listen !== undefined && flags.listen !== "off" && parseAddress(flags.listen) === undefined) {
    throw new CommandError(exitCodes.usage, `--listen ${flags.listen}: expected ADDRESS:PORT or off`);
  }
  return {
    config: {
      ...config,
      ...enforcementOf(config, flags.enforcement, file),
      source: flags.source ?? config.source,
      metrics: { ...config.metrics, listen: flags.listen ?? config.metrics.listen },
    },
    origin: { file, digest, why: whyOnlyObserved(config, flags.enforcement, file) },
  };
}
