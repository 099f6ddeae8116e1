import { expect, test } from "bun:test";
import fc from "fast-check";
import { fitted } from "../../src/report/event-record.ts";
import { instrumentNamed, instrumentNames } from "../../src/report/instruments.ts";
import {
  formatEvents,
  formatRequest,
  parseFrame,
  parseRequest,
  type Request,
} from "../../src/report/wire.ts";

const bytesOf = (value: unknown) =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const request: fc.Arbitrary<Request> = fc.oneof(
  fc.record({ type: fc.constant("ready" as const), generation: count, last: count }),
  fc.record({ type: fc.constant("ack" as const), generation: count, n: count }),
  fc.record({ type: fc.constant("ping" as const), id: count }),
  fc.record({ type: fc.constant("watch" as const), on: fc.boolean() }),
);

test("a request survives the wire", () => {
  fc.assert(fc.property(request, (each) => expect(parseRequest(bytesOf(formatRequest(each)))).toEqual(each)));
});

test("any bytes are a request or nothing, and never an error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      expect(parseRequest(bytes)).toBeUndefined();
    }),
    { numRuns: 2_000 },
  );
});

/** JSON that looks like a frame or a request but has anything in its fields. */
const nearly = fc.record(
  {
    type: fc.constantFrom(
      "hello",
      "events",
      "learned",
      "best-effort",
      "totals",
      "pong",
      "ready",
      "ack",
      "ping",
      "watch",
      "stop",
    ),
    ...Object.fromEntries(
      "run generation version started source enforcement policies first records updates changed whole id alive reason degraded last n on"
        .split(" ")
        .map((name) => [name, fc.jsonValue({ maxDepth: 2 })]),
    ),
  },
  { requiredKeys: [] },
);

test("any JSON in any field is a well-formed request or nothing", () => {
  fc.assert(
    fc.property(nearly, (value) => {
      const parsed = parseRequest(bytesOf(value));
      if (parsed !== undefined) expect(parseRequest(bytesOf(formatRequest(parsed)))).toEqual(parsed);
    }),
    { numRuns: 2_000 },
  );
});

test("any JSON in any field is a well-formed frame or nothing", () => {
  fc.assert(
    fc.property(nearly, (value) => {
      const frame = parseFrame(bytesOf(value));
      if (frame?.type === "events") for (const record of frame.records) expect(typeof record).toBe("object");
      if (frame?.type === "totals") {
        for (const change of frame.changed) {
          expect(change.values.length).toBe(instrumentNamed(change.instrument).attributes.length);
        }
      }
    }),
    { numRuns: 2_000 },
  );
});

const record = fc.dictionary(
  fc.string(),
  fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null)),
  {
    noNullPrototype: true,
  },
);

test("records survive the wire with the texts that they came in, whatever is in them", () => {
  fc.assert(
    fc.property(count, count, fc.array(record, { minLength: 1, maxLength: 5 }), (generation, first, sent) => {
      const texts = sent.map((each) => JSON.stringify(each));
      const frame = parseFrame(bytesOf(formatEvents({ generation, first }, texts)));
      expect(frame).toEqual({
        type: "events",
        generation,
        first,
        records: texts.map((each) => JSON.parse(each)),
        texts,
      });
    }),
  );
});

test("a line that is no record is an empty one, so that the numbers of the others stay right", () => {
  const good = '{"tree.path":"/x"}';
  const frame = parseFrame(bytesOf(formatEvents({ generation: 1, first: 5 }, ["7", good, '{"a":{}}', ""])));
  expect(frame).toMatchObject({ first: 5, texts: ["{}", good, "{}", "{}"] });
});

test("a change of any instrument is taken only if its value is of that instrument's kind", () => {
  const anything = fc.oneof(fc.jsonValue(), fc.record({ counts: fc.array(fc.nat()), sum: fc.double() }));
  fc.assert(
    fc.property(fc.constantFrom(...instrumentNames), anything, (name, value) => {
      const { attributes, kind, buckets } = instrumentNamed(name);
      const changed = [[name, attributes.map(() => "x"), value]];
      const frame = parseFrame(bytesOf({ type: "totals", generation: 1, whole: true, changed }));
      const change = frame?.type === "totals" ? frame.changed[0] : undefined;
      if (change === undefined || change.value === null) return;
      if (kind === "histogram") {
        expect(typeof change.value === "object" && change.value.counts.length).toBe(
          (buckets?.length ?? 0) + 1,
        );
      } else expect(typeof change.value).toBe("number");
    }),
    { numRuns: 1_000 },
  );
});

test("a request that is too long is not even looked at", () => {
  const long = `{"type":"ping","id":1,"x":"${"y".repeat(600)}"}`;
  expect(parseRequest(bytesOf(long))).toBeUndefined();
  expect(parseRequest(bytesOf('{"type":"ping","id":1}'))).toEqual({ type: "ping", id: 1 });
});

test("a record never takes more than its share of a packet, and keeps its stamps", () => {
  const value = fc.oneof(
    fc.string({ maxLength: 3_000 }),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(fc.string({ maxLength: 500 }), { maxLength: 200 }),
  );
  fc.assert(
    fc.property(fc.dictionary(fc.string({ maxLength: 2_000 }), value, { maxKeys: 60 }), (fields) => {
      const record = { ...fields, timestamp: "t", "event.name": "e", "log.record.uid": "u" };
      const text = fitted(record, 4_096);
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(4_096);
      expect(JSON.parse(text)).toMatchObject({ timestamp: "t", "event.name": "e", "log.record.uid": "u" });
    }),
    { numRuns: 300 },
  );
});
