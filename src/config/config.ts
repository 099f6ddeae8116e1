// The schema of the configuration, with the defaults. The parser of its file is in config-file.ts.
import { RE2JS } from "re2js";
import * as v from "valibot";
import { parseAddress } from "../linux/socket-address.ts";
import { defaultEnvironmentNames, environmentName } from "../vocabulary/environment.ts";
import { eitherOf, shownValue } from "../vocabulary/error-text.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { nearest } from "../vocabulary/nearest.ts";
import { sourceChoices } from "../vocabulary/sensors.ts";
import { parseDuration } from "./duration.ts";
import { isMailbox } from "./mailbox.ts";

export const enforcements = ["observe", "kill", "prevent"] as const;
export type Enforcement = (typeof enforcements)[number];

export const configFile = "/etc/treewarden/config.yaml";
export const defaultStateDirectory = "/var/lib/treewarden";

type MessageOf = (issue: v.BaseIssue<unknown>) => string;

/** The message for a value that is not `wanted`. It follows the name of the setting. */
function mustBe(wanted: string, show: (found: unknown) => string = shownValue): MessageOf {
  return ({ input }) => `must be ${wanted}, not ${show(input)}`;
}

const listen = v.pipe(
  v.string(mustBe("ADDRESS:PORT or off")),
  v.check((text) => text === "off" || parseAddress(text) !== undefined, mustBe("ADDRESS:PORT or off")),
);
const count = (low: number, high: number) => {
  const message = mustBe(`a whole number from ${low} to ${high}`);
  return v.pipe(v.number(message), v.integer(message), v.minValue(low, message), v.maxValue(high, message));
};
const text = v.pipe(v.string(mustBe("text")), v.nonEmpty("must not be empty"));
const mailbox = v.pipe(
  v.string(mustBe("an address")),
  v.check(isMailbox, mustBe("an address such as root or alarm@example.org")),
);
const absolutePath = v.pipe(
  v.string(mustBe("an absolute path")),
  v.startsWith("/", mustBe("an absolute path")),
);
const listOf = <const Item extends v.GenericSchema>(item: Item, what: string) =>
  v.array(item, mustBe(`a list of ${what}`));
const oneOf = <const T extends readonly string[]>(...values: T) =>
  v.picklist(values, (issue) => {
    const near = nearest(String(issue.input), values);
    return `${mustBe(eitherOf(values))(issue)}${near === undefined ? "" : `: did you mean ${near}?`}`;
  });

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

/** The longest pause that may be configured: a week, in seconds. */
const LONGEST_PAUSE = 604_800;
const pauseLength = v.pipe(
  v.string(mustBe("a duration such as 4h")),
  v.check((text) => {
    const seconds = parseDuration(text);
    return seconds !== undefined && seconds >= 1 && seconds <= LONGEST_PAUSE;
  }, mustBe("a duration from 1s to 7d, such as 4h")),
);

const pattern = v.pipe(
  text,
  v.rawCheck(({ dataset, addIssue }) => {
    const problem = dataset.typed ? patternProblem(dataset.value) : undefined;
    if (problem !== undefined) addIssue({ message: problem });
  }),
);

/** The error in an RE2 regular expression; undefined if it is valid. */
function patternProblem(expression: string): string | undefined {
  try {
    RE2JS.compile(expression);
    return undefined;
  } catch (error) {
    // The error quotes the faulty part. The rest is not shown, because the pattern may contain a secret.
    return `must be a regular expression: ${messageOf(error)}`;
  }
}

/** A collector's URL may hold a password in front of the `@`, which must not appear in a log. */
const collectorUrl = v.pipe(
  v.string(mustBe("a URL", typeText)),
  v.check(
    (text) => /^https?:\/\//i.test(text) && URL.canParse(text),
    mustBe("a URL such as http://127.0.0.1:4318", (found) =>
      shownValue(String(found).replace(/^.*@/s, "...@")),
    ),
  ),
);

/** Headers often hold a token, which must not appear in a log. */
const header = v.pipe(v.string(mustBe("text", typeText)), v.nonEmpty("must not be empty"));

/** What a value is, without showing it. */
function typeText(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "a section" : `a ${typeof value}`;
}

const section = <const Entries extends v.ObjectEntries>(entries: Entries) =>
  v.strictObject(entries, mustBe("a section of settings", typeText));

/** What each setting means, with an example, is in settings.ts. */
export const sections = {
  base: {
    packages: v.optional(listOf(text, "packages"), []),
    paths: v.optional(listOf(absolutePath, "paths"), []),
  },
  arguments: {
    report: v.optional(oneOf("full", "redacted", "off"), "redacted"),
    redact: v.optional(listOf(pattern, "regular expressions"), []),
    limit: v.optional(count(256, 131_072), 4096),
  },
  environment: {
    read: v.optional(
      v.pipe(
        listOf(
          v.pipe(text, v.regex(environmentName, mustBe("the name of an environment variable"))),
          "names",
        ),
        v.maxLength(64, ({ input }) => `must have at most 64 names, not ${input.length}`),
      ),
      [...defaultEnvironmentNames],
    ),
  },
  pause: {
    max: v.optional(pauseLength, "4h"),
  },
  kill: {
    max_per_minute: v.optional(count(0, 10_000), 10),
    spare_preexisting: v.optional(v.boolean(mustBe("true or false")), true),
  },
  metrics: {
    listen: v.optional(listen, "127.0.0.1:9501"),
    trees: v.optional(oneOf("off", "gauge", "full"), "full"),
    max_trees: v.optional(count(1, 100_000), 2000),
    web_config: v.optional(absolutePath),
    names: v.optional(oneOf("cnproc", "treewarden", "both"), "both"),
  },
  journal: {
    max_days: v.optional(count(1, 3650), 90),
    max_megabytes: v.optional(count(1, 1_048_576), 2048),
  },
  mail: {
    to: v.optional(
      v.pipe(
        listOf(mailbox, "addresses"),
        v.maxLength(50, ({ input }) => `must have at most 50 addresses, not ${input.length}`),
      ),
      [],
    ),
    every_minutes: v.optional(count(1, 1440), 15),
    set_id: v.optional(v.boolean(mustBe("true or false")), false),
  },
  otlp: {
    endpoint: v.optional(collectorUrl),
    headers: v.optional(
      v.record(text, header, mustBe("a section of header names with their values", typeText)),
      {},
    ),
    protocol: v.optional(oneOf("http/protobuf", "http/json"), "http/protobuf"),
    compression: v.optional(oneOf("gzip", "none"), "gzip"),
    interval_seconds: v.optional(count(1, 3600), 60),
    timeout_seconds: v.optional(count(1, 300), 10),
    certificate: v.optional(absolutePath),
    client_certificate: v.optional(absolutePath),
    client_key: v.optional(absolutePath),
  },
};

export const configSchema = section({
  policies: v.optional(listOf(text, "roles or files")),
  policy_keys: v.optional(listOf(absolutePath, "files"), []),
  enforcement: v.optional(oneOf(...enforcements), "observe"),
  armed: v.optional(v.lazy((value) => (Array.isArray(value) ? armedPatterns : armedAll))),
  armed_since_hours: v.optional(count(0, 8_760), 168),
  source: v.optional(oneOf(...sourceChoices), "auto"),
  state_directory: v.optional(absolutePath, defaultStateDirectory),
  hardening: v.optional(oneOf("best_effort", "required"), "best_effort"),
  events: v.optional(oneOf("notable", "all"), "notable"),
  reporter_user: v.optional(text, "treewarden"),
  base: v.optional(section(sections.base), {}),
  arguments: v.optional(section(sections.arguments), {}),
  environment: v.optional(section(sections.environment), {}),
  pause: v.optional(section(sections.pause), {}),
  kill: v.optional(section(sections.kill), {}),
  metrics: v.optional(section(sections.metrics), {}),
  journal: v.optional(section(sections.journal), {}),
  mail: v.optional(section(sections.mail), {}),
  otlp: v.optional(section(sections.otlp), {}),
});

/** The sections of outputs. An error in one of them turns its outputs off; the rest of the file holds. */
export const outputSections = ["mail", "otlp"] as const satisfies readonly SectionName[];
export type OutputSection = (typeof outputSections)[number];

export type SectionName = keyof typeof sections;

/** Whether a top-level key is a section of settings. */
export function isSectionName(name: string): name is SectionName {
  return Object.hasOwn(sections, name);
}

/** The names of all settings, for example `kill.max_per_minute`, in the order of the schema. */
export const settingNames: readonly string[] = Object.keys(configSchema.entries).flatMap((name) =>
  isSectionName(name) ? Object.keys(sections[name]).map((each) => `${name}.${each}`) : [name],
);

export type Config = v.InferOutput<typeof configSchema>;

/** The configuration without a configuration file. */
export function defaultConfig(): Config {
  return v.parse(configSchema, {});
}
