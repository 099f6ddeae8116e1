// The schema of the configuration, with the defaults. The parser of its file is in config-file.ts.
import * as v from "valibot";
import { defaultEnvironmentNames, environmentName } from "../vocabulary/environment.ts";
import type { ConfiguredOutput } from "../vocabulary/outputs.ts";
import { sourceChoices } from "../vocabulary/sensors.ts";
import { networkEntries } from "./network.ts";
import { outputSections } from "./outputs.ts";
import {
  absolutePath,
  choiceOf,
  durationBetween,
  listen,
  listOf,
  mustBe,
  nonEmptyText,
  pattern,
  section,
  wholeNumber,
} from "./schema-parts.ts";
import { settingNamesIn } from "./setting-names.ts";

export const enforcements = ["observe", "kill", "prevent"] as const;
export type Enforcement = (typeof enforcements)[number];

export const configFile = "/etc/treewarden/config.yaml";
export const defaultStateDirectory = "/var/lib/treewarden";

/** ROLE/RULE, in which `*` stands for any characters of a name. */
const armedPattern = v.pipe(
  v.string(mustBe("ROLE/RULE")),
  v.regex(/^(?:all|[A-Za-z0-9_.*-]{1,64}\/[A-Za-z0-9_.*-]{1,64})$/, mustBe("ROLE/RULE or all")),
);

const armedPatterns = v.pipe(
  v.array(armedPattern),
  v.maxLength(1_000, ({ input }) => `must have at most 1000 patterns, not ${input.length}`),
);
const armedAll = v.literal("all", mustBe("all, or a list of patterns ROLE/RULE"));

/** What each setting means, with an example, is in settings.ts. The sections of outputs are in outputs.ts. */
const sections = {
  base: {
    packages: v.optional(listOf(nonEmptyText, "packages"), []),
    paths: v.optional(listOf(absolutePath, "paths"), []),
  },
  arguments: {
    report: v.optional(choiceOf("full", "redacted", "off"), "redacted"),
    redact: v.optional(listOf(pattern, "regular expressions"), []),
    limit: v.optional(wholeNumber(256, 131_072), 4096),
  },
  environment: {
    read: v.optional(
      v.pipe(
        listOf(
          v.pipe(nonEmptyText, v.regex(environmentName, mustBe("the name of an environment variable"))),
          "names",
        ),
        v.maxLength(64, ({ input }) => `must have at most 64 names, not ${input.length}`),
      ),
      [...defaultEnvironmentNames],
    ),
  },
  pause: {
    max: v.optional(durationBetween("1s", "7d", "4h"), "4h"),
  },
  kill: {
    max_per_minute: v.optional(wholeNumber(0, 10_000), 10),
    spare_preexisting: v.optional(v.boolean(mustBe("true or false")), true),
  },
  evidence: {
    enabled: v.optional(v.boolean(mustBe("true or false")), false),
    timeout_seconds: v.optional(wholeNumber(1, 30), 2),
    max_megabytes_per_day: v.optional(wholeNumber(1, 1_024), 16),
    copy_up_to_megabytes: v.optional(wholeNumber(0, 256), 0),
    copies_max_megabytes: v.optional(wholeNumber(1, 1_048_576), 1_024),
  },
  prevent: {
    without_warden: v.optional(choiceOf("15s", "keep"), "15s"),
    max_per_minute: v.optional(wholeNumber(1, 10_000), 100),
  },
  network: networkEntries,
  metrics: {
    listen: v.optional(listen, "127.0.0.1:9501"),
    trees: v.optional(choiceOf("off", "gauge", "full"), "full"),
    max_trees: v.optional(wholeNumber(1, 100_000), 2000),
    web_config: v.optional(absolutePath),
    names: v.optional(choiceOf("cnproc", "treewarden", "both"), "both"),
  },
  journal: {
    max_days: v.optional(wholeNumber(1, 3650), 90),
    max_megabytes: v.optional(wholeNumber(1, 1_048_576), 2048),
  },
};

export const configSchema = section({
  policies: v.optional(listOf(nonEmptyText, "roles or files")),
  policy_keys: v.optional(listOf(absolutePath, "files"), []),
  enforcement: v.optional(choiceOf(...enforcements), "observe"),
  armed: v.optional(v.lazy((value) => (Array.isArray(value) ? armedPatterns : armedAll))),
  armed_since_hours: v.optional(wholeNumber(0, 8_760), 168),
  source: v.optional(choiceOf(...sourceChoices), "auto"),
  state_directory: v.optional(absolutePath, defaultStateDirectory),
  hardening: v.optional(choiceOf("best_effort", "required"), "best_effort"),
  events: v.optional(choiceOf("notable", "all"), "notable"),
  reporter_user: v.optional(nonEmptyText, "treewarden"),
  rescue_user: v.optional(
    v.pipe(nonEmptyText, v.regex(/^(?:\d{1,9}|[A-Za-z_][A-Za-z0-9_.-]*\$?)$/, mustBe("a user's name or id"))),
  ),
  base: v.optional(section(sections.base), {}),
  arguments: v.optional(section(sections.arguments), {}),
  environment: v.optional(section(sections.environment), {}),
  pause: v.optional(section(sections.pause), {}),
  kill: v.optional(section(sections.kill), {}),
  evidence: v.optional(section(sections.evidence), {}),
  prevent: v.optional(section(sections.prevent), {}),
  network: v.optional(section(sections.network), {}),
  metrics: v.optional(section(sections.metrics), {}),
  journal: v.optional(section(sections.journal), {}),
  ...outputSections,
});

export type SectionName = keyof typeof sections | ConfiguredOutput;

/** Whether a top-level key is a section of settings. */
export function isSectionName(name: string): name is SectionName {
  return Object.hasOwn(sections, name) || Object.hasOwn(outputSections, name);
}

/** The names of all settings, for example `kill.max_per_minute`, in the order of the schema. */
export const settingNames: readonly string[] = settingNamesIn(configSchema);

export type Config = v.InferOutput<typeof configSchema>;

/** The configuration without a configuration file. */
export function defaultConfig(): Config {
  return v.parse(configSchema, {});
}
