import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { HttpAnswer } from "../../src/reporter/http-post.ts";
import { deliveryOf } from "../../src/reporter/otlp-answer.ts";

const NOW = Date.UTC(2026, 0, 31, 12, 0, 0);
const PROTOBUF = "application/x-protobuf";

const answer = (change: Partial<HttpAnswer> & { readonly text?: string }): HttpAnswer => ({
  status: 200,
  contentType: PROTOBUF,
  retryAfter: undefined,
  location: undefined,
  body: Buffer.from(change.text ?? ""),
  ...change,
});
const read = (change: Parameters<typeof answer>[0]) => deliveryOf(answer(change), 512, NOW);

/** partial_success { rejected_log_records: 3, error_message: "too old" } */
const PARTIAL = Buffer.from([0x0a, 0x0b, 0x08, 0x03, 0x12, 0x07, ...Buffer.from("too old")]);

describe("a batch is delivered if the answer is 200 and", () => {
  test.each([
    ["empty", {}],
    ["empty, of no type", { contentType: "" }],
    ["an empty object of JSON", { contentType: "application/json", text: "{}" }],
    [
      "what a Collector writes in JSON",
      { contentType: "application/json; charset=utf-8", text: '{"partialSuccess":{}}' },
    ],
    ["a message of protobuf with fields of a later version", { body: Buffer.from([0x10, 0x01]) }],
  ])("%s", (_, change) => expect(read(change)).toEqual({ outcome: "delivered" }));

  test("a partial success says how many records were rejected and why", () => {
    const partial = { rejected: 3, why: "too old" };
    expect(read({ body: PARTIAL })).toEqual({ outcome: "delivered", partial });
    const text = '{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"too old"}}';
    expect(read({ contentType: "application/json", text })).toEqual({ outcome: "delivered", partial });
  });

  test("of metrics, it names data points", () => {
    const text = '{"partialSuccess":{"rejectedDataPoints":7}}';
    expect(read({ contentType: "application/json", text })).toMatchObject({ partial: { rejected: 7 } });
  });

  test("never more are rejected than were sent", () => {
    const body = Buffer.from([0x0a, 0x04, 0x08, 0xff, 0xff, 0x7f]);
    expect(read({ body })).toMatchObject({ partial: { rejected: 512 } });
  });

  test("a message without rejected records is a warning", () => {
    const text = '{"partialSuccess":{"errorMessage":"use v2\\nand \\u001b[31mmore"}}';
    expect(read({ contentType: "application/json", text })).toEqual({
      outcome: "delivered",
      partial: { rejected: 0, why: "use v2" },
    });
  });
});

describe("200 is a failure, and the batch is sent again, if the body is", () => {
  test.each([
    ["a login page", { contentType: "text/html", text: "<html>log in</html>" }],
    ["a login page that claims to be protobuf", { text: "<html>log in</html>" }],
    ["a page without a type", { contentType: "", text: "hello" }],
    ["another program's JSON", { contentType: "application/json", text: '{"error":"log in"}' }],
    ["half of a JSON", { contentType: "application/json", text: '{"partialSuc' }],
    ["half of a message", { body: PARTIAL.subarray(0, 7) }],
    [
      "a count that is none",
      { contentType: "application/json", text: '{"partialSuccess":{"rejectedLogRecords":-1}}' },
    ],
  ])("%s", (_, change) => {
    expect(read(change)).toMatchObject({
      outcome: "failed",
      why: expect.stringContaining("no answer of OTLP"),
    });
  });

  test("any text, whatever type it claims", () => {
    const text = fc.string({ minLength: 1 }).filter((each) => /^[\x20-\x7e]{4,}$/.test(each));
    fc.assert(
      fc.property(
        text,
        fc.constantFrom("", "text/plain", "application/octet-stream"),
        (each, contentType) => {
          expect(read({ contentType, text: each }).outcome).toBe("failed");
        },
      ),
    );
  });
});

test("no body makes it throw, or gives a count that is none", () => {
  const types = fc.constantFrom("", PROTOBUF, "application/json");
  fc.assert(
    fc.property(fc.uint8Array(), types, (bytes, contentType) => {
      const delivery = read({ body: Buffer.from(bytes), contentType });
      if (delivery.outcome !== "delivered" || delivery.partial === undefined) return;
      expect(delivery.partial.rejected).toBeGreaterThanOrEqual(0);
      expect(delivery.partial.rejected).toBeLessThanOrEqual(512);
    }),
  );
});

describe("a refusal", () => {
  test.each([
    [400, "rejected"],
    [422, "rejected"],
    [413, "too large"],
    [401, "failed"],
    [404, "failed"],
    [429, "failed"],
    [500, "failed"],
    [503, "failed"],
  ])("%d: %s", (status, outcome) => expect(read({ status })).toMatchObject({ outcome }));

  test("is named in the collector's words", () => {
    const status = Buffer.from([0x08, 0x03, 0x12, 0x03, ...Buffer.from("bad")]);
    expect(read({ status: 400, body: status })).toMatchObject({ why: "HTTP 400: bad" });
    expect(read({ status: 400, contentType: "text/plain", text: "Client sent HTTP\n" })).toMatchObject({
      why: "HTTP 400: Client sent HTTP",
    });
    expect(read({ status: 403, contentType: "application/json", text: '{"message":"no"}' })).toMatchObject({
      why: "HTTP 403: no",
    });
  });

  test("a redirect is not followed, and its target is named", () => {
    expect(read({ status: 307, location: "http://elsewhere/\x1b[2J" })).toEqual({
      outcome: "failed",
      why: "HTTP 307: redirects to http://elsewhere/\\x1b[2J are not followed",
    });
  });
});

describe("Retry-After is", () => {
  const after = (retryAfter: string) => {
    const delivery = read({ status: 429, retryAfter });
    return delivery.outcome === "failed" ? delivery.retryAfterMs : undefined;
  };
  test("a number of seconds", () => expect(after("7")).toBe(7_000));
  test("a date", () => expect(after("Sat, 31 Jan 2026 12:00:30 GMT")).toBe(30_000));
  test("a date that has passed", () => expect(after("Fri, 30 Jan 2026 12:00:30 GMT")).toBe(0));
  test("five minutes at most", () => expect(after("86400")).toBe(300_000));
  test("ignored if it is neither", () => {
    for (const text of ["", "soon", "-1", "1e9"]) expect(after(text)).toBeUndefined();
  });
});
