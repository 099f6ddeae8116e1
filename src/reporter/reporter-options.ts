// The options that the supervisor passes to a reporter at its start.
import * as v from "valibot";
import type { Config } from "../config/config.ts";
import type { User } from "../linux/process.ts";
import { endpointSecuritySchema } from "./endpoint-security.ts";
import { otlpSettingsSchema } from "./otlp-settings.ts";

const options = {
  /** The id of the run, the same across restarts of its processes. */
  run: v.string(),
  /** The records that standard output shows. */
  output: v.picklist(["json", "pretty", "alerts", "none"]),
  /** Whether standard output shows every exec, or only the first of a tree. */
  all: v.boolean(),
  /** Whether standard output may use colour. */
  colour: v.boolean(),
  /** Null if nothing is exported over OTLP. */
  otlp: v.nullable(otlpSettingsSchema),
  /** Null: anyone who can connect to the endpoint may read. */
  endpointSecurity: v.nullable(endpointSecuritySchema),
};
/** A user or group, never root's. */
const id = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const OptionsWithoutConfig = v.object(options);

export type ReporterOptions = Readonly<v.InferOutput<typeof OptionsWithoutConfig>> & {
  readonly config: Config;
};

/** The complete start data of a reporter. */
export interface ReporterPlan {
  readonly options: ReporterOptions;
  /** The user that the process must become before it does anything; null if it cannot change its user. */
  readonly user: User | null;
  /** The host's time zone: the reporter cannot read the host's files, and shows local times. */
  readonly timeZone: string;
}

/**
 * The configuration as `treewarden run` has checked it. It is not checked again here, because its schema, which the reporter
 * needs for nothing else, takes 0.2 MB.
 */
const trustedConfig = v.custom<Config>((value) => typeof value === "object" && value !== null);
const Plan = v.strictObject({
  user: v.nullable(v.strictObject({ uid: id, gid: id })),
  options: v.strictObject({ ...options, config: trustedConfig }),
  timeZone: v.string(),
});

/** Throws a SyntaxError or a ValiError for what `treewarden run` does not write. The configuration is not checked again. */
export function parseReporterPlan(text: string): ReporterPlan {
  return v.parse(Plan, JSON.parse(text));
}
