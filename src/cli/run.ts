// `treewarden run`: checks what root has written down, then becomes the supervisor.
import { randomUUID } from "node:crypto";
import { Command, Option } from "commander";
import { type Config, enforcements } from "../config/config.ts";
import { readOtlpSettings } from "../reporter/read-otlp-settings.ts";
import type { ReporterPlan } from "../reporter/reporter-options.ts";
import { supervise } from "../supervisor/supervise.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { sourceChoices } from "../vocabulary/sensors.ts";
import { writeBase } from "../warden/base-file.ts";
import { confirmedRulesPath, formatConfirmedRules } from "../warden/confirmed-rules.ts";
import type { RunSettings, WardenPlan } from "../warden/warden-plan.ts";
import { learnFromStart, learnSeconds } from "./baseline/learn.ts";
import { writeWhole } from "./baseline/store.ts";
import { readEndpointSecurity } from "./endpoint-security.ts";
import { computeBase, configOption, type HostFlags, policyOption, stateDirOption } from "./host-settings.ts";
import { CommandError, type ExitCode, exitCodes, mayColour, warn } from "./output.ts";
import { type RunOutput, runOutput, runOutputOption } from "./output-format.ts";
import { checkHardening, checkNamespace, reporterUserName } from "./refusals.ts";
import { absoluteSettings, runConfig, withoutSecrets } from "./run-config.ts";
import { checkFiles, printEnforcement, startWith } from "./run-start.ts";

interface RunFlags extends HostFlags {
  readonly source?: Config["source"];
  readonly enforcement?: Config["enforcement"];
  readonly listen?: string;
  readonly output?: RunOutput;
  readonly all?: boolean;
  readonly check?: boolean;
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
    .addOption(runOutputOption())
    .option(
      "--check",
      "only check the configuration and the policies, for CI; exit code 2 if they have errors",
    )
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
  const settings = settingsOf(flags);
  if (flags.check === true) return checkFiles(settings);
  if (process.geteuid?.() !== 0) {
    runConfig(settings);
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
  const start = startWith(settings);
  const { config, origin, problems } = start;
  checkHardening(config);
  const confirmed = printEnforcement(start);
  const output = runOutput(flags.output, flags.all === true || config.events === "all");
  const isOtlpOff = start.outputProblems.some(({ signals }) => signals.includes("logs"));
  const otlp = isOtlpOff
    ? { settings: null, problems: [], notes: [] }
    : readOtlpSettings(config.otlp, process.env);
  const endpoint = readEndpointSecurity(config.metrics.web_config);
  const outputProblems = [...start.outputProblems, ...otlp.problems, ...endpoint.problems];
  for (const text of [...outputProblems.map(({ text }) => text), ...otlp.notes]) warn(text);
  const shown = withoutSecrets(config);
  const plan: WardenPlan = {
    run: `tw-${randomUUID()}`,
    config: shown,
    origin,
    startedMs: Date.now(),
    settings: absoluteSettings(settings, config.policies),
    problems,
    outputProblems,
    exponentialHistograms: otlp.settings?.metrics?.histograms === "base2_exponential_bucket_histogram",
  };
  const reporter: Omit<ReporterPlan, "user"> = {
    options: {
      run: plan.run,
      config: endpoint.problems.length === 0 ? shown : withoutEndpoint(shown),
      output,
      all: flags.all === true,
      colour: mayColour(process.stdout),
      otlp: otlp.settings,
      endpointSecurity: endpoint.security,
    },
    timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
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
      // The first exec is judged with this host's own base system; from then on the examiner reports changes.
      prepare: () => {
        // Before the warden starts, which lets nothing act that is not printed.
        saveConfirmed(config, formatConfirmedRules(confirmed));
        if (learning !== undefined) learnFromStart(config.state_directory, learning.seconds);
        return prepareBase(config);
      },
      stateDirectory: config.state_directory,
      reporterUser: reporterUserName(config),
      environment: process.env,
    }),
  );
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

function withoutEndpoint(config: Config): Config {
  return { ...config, metrics: { ...config.metrics, listen: "off" } };
}

function asExitCode(code: number): ExitCode {
  return code === 0 || code === 1 || code === 2 || code === 3 ? code : exitCodes.fault;
}

function settingsOf({ config, stateDir, policy, source, enforcement, listen }: RunFlags): RunSettings {
  return { config, stateDir, policy, source, enforcement, listen };
}

/** On a full disk the run starts all the same, and less may act: a rule that is confirmed now waits. */
function saveConfirmed({ state_directory }: Config, text: string): void {
  const path = confirmedRulesPath(state_directory);
  try {
    writeWhole(path, text);
  } catch (error) {
    warn(`${path} cannot be written: ${messageOf(error)}; a rule that was not confirmed before does not act`);
  }
}
