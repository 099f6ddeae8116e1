import { expect, test } from "bun:test";
import fc from "fast-check";
import { acceptsGzip, formatFor } from "../../src/reporter/negotiation.ts";

/** What Prometheus 2.42 sends. */
const prometheus =
  "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

for (const [accept, format] of [
  [prometheus, "openmetrics"],
  ["application/openmetrics-text", "openmetrics"],
  ["Application/OpenMetrics-Text; Version=1.0.0; Q=0.5, text/plain; q=0.3", "openmetrics"],
  ["text/plain, application/openmetrics-text;q=0.5", "prometheus"],
  ["application/openmetrics-text;version=0.0.1", "prometheus"],
  ["application/openmetrics-text;q=0", "prometheus"],
  ["application/openmetrics-text;q=banana", "prometheus"],
  ["text/html,application/xhtml+xml,*/*;q=0.8", "prometheus"],
  ["", "prometheus"],
  [null, "prometheus"],
] as const)
  test(`Accept: ${accept} gets the ${format} format`, () => expect(formatFor(accept)).toBe(format));

for (const [accept, gzip] of [
  ["gzip", true],
  ["deflate, GZIP;q=0.5, br", true],
  ["x-gzip", true],
  ["*", true],
  ["*, gzip;q=0", false],
  ["gzip;q=0.000", false],
  ["br, deflate", false],
  ["gzipped", false],
  ["identity", false],
  ["", false],
  [null, false],
] as const)
  test(`Accept-Encoding: ${accept} gets ${gzip ? "gzip" : "plain text"}`, () =>
    expect(acceptsGzip(accept)).toBe(gzip));

test("any header is read without an error", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (header) => {
      expect(["prometheus", "openmetrics"]).toContain(formatFor(header));
      expect(typeof acceptsGzip(header)).toBe("boolean");
    }),
  );
});
