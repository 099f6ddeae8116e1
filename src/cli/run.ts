// `treewarden run`: checks what root has written down, then becomes the supervisor.
import { randomUUID } from "node:crypto";
import { Command, Option } from "commander";
import { parseAddress } from "../config/address.ts";
import { type Config, configFile, defaultConfig, enforcements, sources } from "../config/config.ts";
import { baseOf } from "../examiner/base.ts";
import { openPackages } from "../examiner/open.ts";
import type { ReporterPlan } from "../report/options.ts";
import { openTelemetryVariables } from "../supervisor/environment.ts";
import { supervise } from "../supervisor/supervise.ts";
import { writeBase } from "../warden/basefile.ts";
import type { WardenPlan } from "../warden/plan.ts";
import { learnFromStart, learnSeconds } from "./baseline/learn.ts";
import { readConfig } from "./configuration.ts";
import { policyOrError } from "./policies.ts";
import { CommandError, type ExitCode, exit, mayColour, warn } from "./voice.ts";

interface RunFlags {
  readonly config?: string;
  readonly policy: readonly string[];
  readonly source?: Config["source"];
  readonly enforcement?: Config["enforcement"];
  readonly listen?: string;
  readonly stateDir?: string;
  readonly output?: "json" | "pretty" | "none";
  readonly learn?: boolean;
  readonly for?: string;
}

export function runCommand(): Command {
  return new Command("run")
    .description("watch this host, judge every program that starts, and act")
    .option("--config <file>", `configuration file (default: ${configFile} if it is there)`)
    .option("--policy <role-or-file>", "policy to judge by; more than one: all of them", collect, [])
    .addOption(new Option("--source <source>", "where events come from").choices(sources))
    .addOption(new Option("--enforcement <what>", "what a verdict may do").choices(enforcements))
    .option("--listen <address:port>", "where Prometheus may scrape, or off")
    .option("--state-dir <directory>", "where the forest and the journal are kept")
    .addOption(
      new Option("--output <format>", "standard output (default: pretty on a terminal, else json)").choices([
        "json",
        "pretty",
        "none",
      ]),
    )
    .option("--learn", "learn while it observes; a learning that goes on already is gone on with")
    .option(
      "--for <duration>",
      "with --learn: as long as this without loss, such as 24h (default: until stopped)",
    )
    .action((flags: RunFlags) => {
      process.exitCode = run(flags);
    });
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function run(flags: RunFlags): ExitCode {
  const config = withFlags(readConfig(flags.config), flags);
  if (config.enforcement === "prevent") {
    throw new CommandError(
      exit.usage,
      "enforcement prevent is not built yet",
      "use kill: it ends the program at its exec",
    );
  }
  if (process.geteuid?.() !== 0) {
    throw new CommandError(
      exit.notAllowed,
      "only root may watch every process",
      "run it with sudo, or as a systemd service",
    );
  }
  if (flags.for !== undefined && flags.learn !== true)
    throw new CommandError(exit.usage, "--for is how long --learn learns", "say --learn as well");
  const learning = flags.learn === true ? { seconds: learnSeconds(flags.for) } : undefined;
  // Tells of a broken policy before anything is started; the warden loads it again by itself.
  policyOrError(config);
  const output = flags.output ?? (process.stdout.isTTY ? "pretty" : "json");
  const plan: WardenPlan = { run: `tw-${randomUUID()}`, config: withoutSecrets(config) };
  const reporter: ReporterPlan = {
    options: { run: plan.run, config, output, colour: mayColour(process.stdout) },
    environment: openTelemetryVariables(process.env),
  };
  return asExitCode(
    supervise({
      runId: plan.run,
      plans: {
        warden: JSON.stringify(plan),
        reporter: JSON.stringify(reporter),
        examiner: JSON.stringify(plan),
      },
      // The first exec is judged with this host's own base system; from then on the examiner tells of changes.
      prepare: () => {
        if (learning !== undefined) learnFromStart(config.state_directory, learning.seconds);
        return prepareBase(config);
      },
      stateDirectory: config.state_directory,
      reporterUser: config.reporter_user === defaultConfig().reporter_user ? undefined : config.reporter_user,
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
    const packages = openPackages();
    folder = packages?.folder;
    writeBase(config.state_directory, baseOf(packages, config.base));
  } catch (error) {
    warn(`cannot write down the base system: ${error instanceof Error ? error.message : String(error)}`);
  }
  return folder;
}

function asExitCode(code: number): ExitCode {
  return code === 0 || code === 1 || code === 2 || code === 3 ? code : exit.fault;
}

function withFlags(config: Config, flags: RunFlags): Config {
  if (flags.listen !== undefined && flags.listen !== "off" && parseAddress(flags.listen) === undefined) {
    throw new CommandError(exit.usage, `--listen ${flags.listen}: expected ADDRESS:PORT or off`);
  }
  const stateDirectory = flags.stateDir ?? config.state_directory;
  if (!stateDirectory.startsWith("/")) {
    throw new CommandError(exit.usage, `--state-dir ${stateDirectory}: expected an absolute path`);
  }
  return {
    ...config,
    policies: flags.policy.length > 0 ? [...flags.policy].map(absolute) : config.policies,
    source: flags.source ?? config.source,
    enforcement: flags.enforcement ?? config.enforcement,
    state_directory: stateDirectory,
    metrics: { ...config.metrics, listen: flags.listen ?? config.metrics.listen },
  };
}

/** Treewarden's processes work in `/`, so a policy that is named by where the user stands is named in full. */
function absolute(policy: string): string {
  const isFile = policy.includes("/") || policy.endsWith(".json");
  return isFile && !policy.startsWith("/") ? `${process.cwd()}/${policy}` : policy;
}
