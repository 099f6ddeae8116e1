// The sections of the configuration that belong to outputs: their schema, with the defaults, and what each setting means.
// An error in one of them turns its output off; the rest of the file holds.
import * as v from "valibot";
import type { ConfiguredOutput } from "../vocabulary/outputs.ts";
import {
  absolutePath,
  choiceOf,
  collectorUrl,
  header,
  listOf,
  mailbox,
  mustBe,
  nonEmptyText,
  section,
  typeText,
  wholeNumber,
} from "./schema-parts.ts";
import type { SettingRow } from "./setting-row.ts";

export const outputSections = {
  mail: v.optional(
    section({
      to: v.optional(
        v.pipe(
          listOf(mailbox, "addresses"),
          v.maxLength(50, ({ input }) => `must have at most 50 addresses, not ${input.length}`),
        ),
        [],
      ),
      every_minutes: v.optional(wholeNumber(1, 1440), 15),
      set_id: v.optional(v.boolean(mustBe("true or false")), false),
    }),
    {},
  ),
  otlp: v.optional(
    section({
      endpoint: v.optional(collectorUrl),
      headers: v.optional(
        v.record(nonEmptyText, header, mustBe("a section of header names with their values", typeText)),
        {},
      ),
      protocol: v.optional(choiceOf("http/protobuf", "http/json"), "http/protobuf"),
      compression: v.optional(choiceOf("gzip", "none"), "gzip"),
      interval_seconds: v.optional(wholeNumber(1, 3600), 60),
      timeout_seconds: v.optional(wholeNumber(1, 300), 10),
      certificate: v.optional(absolutePath),
      client_certificate: v.optional(absolutePath),
      client_key: v.optional(absolutePath),
    }),
    {},
  ),
} satisfies Readonly<Record<ConfiguredOutput, v.GenericSchema>>;

/** What each section is about. */
export const outputTitles: Readonly<Record<ConfiguredOutput, string>> = {
  mail: "Alarms by mail",
  otlp: "Export over OTLP",
};

type OutputSettingName = {
  readonly [S in ConfiguredOutput]: `${S}.${keyof v.InferOutput<(typeof outputSections)[S]> & string}`;
}[ConfiguredOutput];

export const outputSettings: Readonly<Record<OutputSettingName, SettingRow>> = {
  "mail.to": {
    meaning:
      "recipients of alarms by mail, through the host's /usr/sbin/sendmail; if the list is empty, no mail is sent",
    example: "[root, alarm@example.org]",
    takesEffect: "restart",
  },
  "mail.every_minutes": {
    meaning: "the shortest time between two mails, in minutes",
    example: "60",
    takesEffect: "restart",
  },
  "mail.set_id": {
    meaning:
      "sendmail works by its set-id bits: supervisor and reporter then run without what would keep it from that",
    example: "true",
    takesEffect: "restart",
  },
  "otlp.endpoint": {
    meaning:
      "URL of the collector (OTLP over HTTP). OTEL_* environment variables take precedence over this section",
    example: "http://127.0.0.1:4318",
    takesEffect: "restart",
    unset: "nothing leaves the host",
  },
  "otlp.headers": {
    meaning: "headers of each export, a token for example (then the file should have mode 0600)",
    example: "{ Authorization: Bearer example }",
    takesEffect: "restart",
  },
  "otlp.protocol": {
    meaning: "the encoding",
    example: "http/json",
    takesEffect: "restart",
  },
  "otlp.compression": {
    meaning: "how exports are compressed",
    example: "none",
    takesEffect: "restart",
  },
  "otlp.interval_seconds": {
    meaning: "seconds between two exports of the metrics",
    example: "15",
    takesEffect: "restart",
  },
  "otlp.timeout_seconds": {
    meaning: "seconds after which an export that gets no answer has failed",
    example: "30",
    takesEffect: "restart",
  },
  "otlp.certificate": {
    meaning: "certificate (PEM) of the authority that signed the collector's",
    example: "/etc/treewarden/ca.pem",
    takesEffect: "restart",
    unset: "the authorities of the runtime",
  },
  "otlp.client_certificate": {
    meaning: "certificate (PEM) by which the collector knows this host",
    example: "/etc/treewarden/client.pem",
    takesEffect: "restart",
    unset: "none",
  },
  "otlp.client_key": {
    meaning: "its key (PEM); it may be readable by root alone",
    example: "/etc/treewarden/client.key",
    takesEffect: "restart",
    unset: "none",
  },
};
