// The configuration of a run: the file, with the options of the command line on top. A reload reads it again.
import { resolve } from "node:path";
import type { Config } from "../config/config.ts";
import { parseAddress } from "../linux/socket-address.ts";
import type { OutputProblem } from "../report/output-problem.ts";
import type { ConfigurationOrigin } from "../warden/warden-options.ts";
import type { RunSettings } from "../warden/warden-plan.ts";
import type { OutputErrors } from "./configuration.ts";
import { enforcementOf, whyOnlyObserved } from "./enforcement.ts";
import { hostConfigFile } from "./host-settings.ts";
import { CommandError, exitCodes } from "./output.ts";
import { filesOnDisk, type SettingFiles } from "./setting-files.ts";

export interface RunConfig {
  readonly config: Config;
  readonly origin: ConfigurationOrigin;
  /** Outputs that are off because of an error in their section of the file. */
  readonly outputProblems: readonly OutputProblem[];
}

/** Throws a CommandError that lists every error with its place. */
export function runConfig(
  settings: RunSettings,
  files: SettingFiles = filesOnDisk,
  outputErrors: OutputErrors = "refused",
): RunConfig {
  const { listen, enforcement, source } = settings;
  const { config, file, digest, outputProblems } = hostConfigFile(settings, "to decide", files, outputErrors);
  if (listen !== undefined && listen !== "off" && parseAddress(listen) === undefined) {
    throw new CommandError(exitCodes.usage, `--listen ${listen}: expected ADDRESS:PORT or off`);
  }
  return {
    config: {
      ...config,
      ...enforcementOf(config, enforcement, file),
      source: source ?? config.source,
      metrics: { ...config.metrics, listen: listen ?? config.metrics.listen },
    },
    origin: { file: file && resolve(file), digest, why: whyOnlyObserved(config, enforcement, file) },
    outputProblems,
  };
}

/** The options with paths that mean the same in every working directory. */
export function absoluteSettings(
  { config, ...settings }: RunSettings,
  policies: readonly string[] | undefined,
): RunSettings {
  return {
    ...settings,
    ...(config === undefined ? {} : { config: resolve(config) }),
    ...(settings.policy === undefined ? {} : { policy: policies }),
  };
}

/** Only the settings of OTLP in the reporter's plan have the headers, which often are a token, and a URL's password. */
export function withoutSecrets(config: Config): Config {
  const { endpoint, ...otlp } = config.otlp;
  const shown = endpoint?.replace(/^(https?:\/\/)[^/?#]*@/i, "$1");
  return { ...config, otlp: { ...otlp, headers: {}, ...(shown === undefined ? {} : { endpoint: shown }) } };
}
