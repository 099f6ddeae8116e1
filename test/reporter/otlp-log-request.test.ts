import { describe, expect, test } from "bun:test";
import { JsonLogsSerializer, ProtobufLogsSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import fc from "fast-check";
import type { EventRecord } from "../../src/report/event-record.ts";
import {
  type AttributeName,
  type AttributeValue,
  type OtlpLogRecord,
  otlpLogRecord,
} from "../../src/reporter/otlp-log-records.ts";
import { type LogBatch, logEncoder } from "../../src/reporter/otlp-log-request.ts";
import { otlpLogOrigin } from "../../src/reporter/otlp-resource.ts";
import { decodeLogs } from "./otlp-decode.ts";

const host = { hostId: "0123456789abcdef0123456789abcdef", hostName: "web1", stateDirectory: "/var/lib/x" };
const origin = otlpLogOrigin(host, {}, { roles: ["web"], policyDigests: ["d1"], baselineDigests: [] });
const noLimits = { count: 128, length: null };

const stamps = {
  timestamp: "2026-02-03T04:05:06.789012Z",
  observed_timestamp: "2026-02-03T04:05:06.790000Z",
  "event.name": "policy.verdict",
} as const;

/** Each of them encodes many batches, as in the reporter. */
const encoders = { "http/protobuf": logEncoder("http/protobuf"), "http/json": logEncoder("http/json") };

function encodeLogs(batch: LogBatch, protocol: keyof typeof encoders): Uint8Array {
  return encoders[protocol](batch);
}

function encodeOne(record: EventRecord, limits: { count: number; length: number | null } = noLimits) {
  const records = [otlpLogRecord({ ...stamps, ...record }, limits, 0)];
  return decodeLogs(encodeLogs({ origin, records }, "http/protobuf"))[0];
}

test("the type of an attribute is that of its variable, whatever the value", () => {
  const types = (value: number) =>
    encodeOne({ "tree.entropy": value, "tree.randomness": value, "process.pid": 7, "tree.user_ids": [0, 33] })
      ?.attributes;
  for (const value of [0, 1, 0.25])
    expect(types(value)).toEqual({
      "treewarden.tree.entropy": { double: value },
      "treewarden.tree.randomness": { double: value },
      "process.pid": 7,
      "treewarden.tree.user_ids": [0, 33],
    });
});

test("the observed time is that of the record, and for one without it the time of the event", () => {
  const event = BigInt(Date.parse("2026-02-03T04:05:06Z")) * 1_000_000n + 789_012_000n;
  expect(encodeOne({})).toMatchObject({ timeUnixNano: event, observedTimeUnixNano: event + 988_000n });
  const records = [otlpLogRecord({ timestamp: stamps.timestamp }, noLimits, 0)];
  expect(decodeLogs(encodeLogs({ origin, records }, "http/protobuf"))[0]?.observedTimeUnixNano).toBe(event);
});

test("limits cut texts between characters, and leave attributes out, which is counted", () => {
  const record = { "tree.path": "/a\u{1F600}b", "tree.labels": ["a\u{1F600}b"], "process.pid": 1 };
  const log = encodeOne(record, { count: 2, length: 3 });
  expect(log?.attributes).toEqual({
    "treewarden.tree.path": "/a\u{1F600}",
    "treewarden.tree.labels": ["a\u{1F600}b"],
  });
  expect(log?.droppedAttributes).toBe(1);
});

test("the resource names host, system, role and digests", () => {
  expect(encodeOne({})?.resource).toMatchObject({
    "service.name": "treewarden",
    "host.id": host.hostId,
    "host.name": "web1",
    "os.type": "linux",
    "treewarden.role": "web",
    "treewarden.policy.digest": "d1",
  });
});

test("the instance id follows from machine and state directory alone", () => {
  const idOf = (change: object): string =>
    otlpLogOrigin({ ...host, ...change }, {}, { roles: [], policyDigests: [], baselineDigests: [] }).resource[
      "service.instance.id"
    ] ?? "";
  expect(idOf({})).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(idOf({})).toBe(idOf({ hostName: "renamed" }));
  expect(idOf({})).not.toBe(idOf({ stateDirectory: "/srv/x" }));
  expect(idOf({})).not.toBe(idOf({ hostId: "ff" }));
});

/** The same record for OpenTelemetry's own serializers. */
function readable(record: OtlpLogRecord) {
  const plain = (value: AttributeValue) => (typeof value === "object" ? [...value] : value);
  return {
    hrTime: record.time,
    hrTimeObserved: record.observedTime,
    severityNumber: record.severityNumber,
    eventName: record.eventName,
    body: record.body,
    resource: resourceFromAttributes(origin.resource, { schemaUrl: origin.schemaUrl }),
    instrumentationScope: { ...origin.scope, schemaUrl: origin.schemaUrl },
    attributes: Object.fromEntries(record.names.map(({ text }, i) => [text, plain(record.values[i] ?? "")])),
    droppedAttributesCount: record.droppedAttributes,
  };
}

const text = fc.string({ unit: "grapheme", maxLength: 300 });
const integer = fc.maxSafeInteger();
const double = fc.double({ noNaN: true }).filter((value) => !Number.isInteger(value));
/** The same name often has the same value as in the record before. */
const name = fc.oneof(fc.constantFrom("a", "b", "c"), fc.string({ maxLength: 40 }));
const value = fc.oneof<fc.Arbitrary<AttributeValue>[]>(
  fc.constantFrom<AttributeValue>("same", true, 7, ["same", "list"], [0, -0]),
  text,
  fc.boolean(),
  integer,
  double,
  fc.array(fc.string({ unit: "grapheme", maxLength: 60 }), { maxLength: 5 }),
  fc.array(fc.oneof(integer, double), { maxLength: 5 }),
);
const attributes = fc
  .uniqueArray(fc.tuple(name, value), { maxLength: 8, selector: ([name]) => name })
  .map((pairs) => ({
    names: pairs.map(([name]) => attributeName(`x${name}`)),
    values: pairs.map(([, value]) => value),
  }));

const attributeNames = new Map<string, AttributeName>();

function attributeName(text: string): AttributeName {
  const known = attributeNames.get(text);
  if (known !== undefined) return known;
  const bytes = new TextEncoder().encode(text);
  const created = { text, bytes, isDouble: false, last: { value: undefined, encoded: undefined } };
  attributeNames.set(text, created);
  return created;
}

const time = fc.tuple(fc.integer({ min: 0, max: 4e9 }), fc.integer({ min: 0, max: 999_999_999 }));
const logRecord: fc.Arbitrary<OtlpLogRecord> = fc
  .record({
    time,
    observedTime: time,
    severityNumber: fc.constantFrom(9, 13, 21),
    eventName: fc.string({ minLength: 1, maxLength: 200 }),
    body: fc.string({ maxLength: 200 }),
    attributes,
    droppedAttributes: fc.nat(300),
  })
  .map(({ attributes: { names, values }, ...rest }) => ({ ...rest, names, values }));

describe("what is encoded means the same as what OpenTelemetry's own serializers make of it", () => {
  const batches = fc.array(logRecord, { minLength: 1, maxLength: 20 });

  test("in protobuf", () => {
    fc.assert(
      fc.property(batches, (records) => {
        const theirs = ProtobufLogsSerializer.serializeRequest(records.map(readable));
        const ours = encodeLogs({ origin, records }, "http/protobuf");
        expect(decodeLogs(ours).length).toBe(records.length);
        expect(decodeLogs(ours)).toEqual(decodeLogs(theirs ?? new Uint8Array()));
      }),
      { numRuns: 300 },
    );
  });

  test("in JSON", () => {
    fc.assert(
      fc.property(logRecord, (record) => {
        const theirs = JsonLogsSerializer.serializeRequest([readable(record)]) ?? new Uint8Array();
        const ours = encodeLogs({ origin, records: [record] }, "http/json");
        const parsed = (bytes: Uint8Array): unknown =>
          JSON.parse(new TextDecoder().decode(bytes), (key, each) =>
            key === "intValue" ? String(each) : each,
          );
        expect(sorted(parsed(ours))).toEqual(sorted(parsed(theirs)));
      }),
      { numRuns: 300 },
    );
  });
});

/** Without counts of 0, which may be left out, and the schema URL that theirs repeat within the resource. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, each]) => key !== "droppedAttributesCount" || each !== 0)
      .filter(([key]) => key !== "schemaUrl" || !("attributes" in value))
      .map(([key, each]) => [key, sorted(each)]),
  );
}
