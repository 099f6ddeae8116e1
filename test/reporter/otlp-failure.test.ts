// What an administrator reads about an export that failed.
import { expect, test } from "bun:test";
import { failureText } from "../../src/reporter/otlp-failure.ts";

const LOGS = "collector:4318/v1/logs";

test.each([
  ["http", "HTTP 404", "HTTP 404; /v1/logs is appended to otlp.endpoint"],
  ["http", "socket hang up (ECONNRESET)", "socket hang up (ECONNRESET); is it https?"],
  ["https", "socket hang up (ECONNRESET)", "socket hang up (ECONNRESET)"],
  ["https", "SSL routines:WRONG_VERSION_NUMBER (E)", "SSL routines:WRONG_VERSION_NUMBER (E); is it http?"],
  ["http", "HTTP 503", "HTTP 503"],
])("over %s, %p becomes %p", (scheme, why, expected) => {
  expect(failureText(`${scheme}://${LOGS}`, why)).toBe(`${LOGS}: ${expected}`);
});

test.each([
  ["unable to verify the first certificate (UNABLE_TO_VERIFY_LEAF_SIGNATURE)", "otlp.certificate"],
  ["self signed certificate in certificate chain (SELF_SIGNED_CERT_IN_CHAIN)", "otlp.certificate"],
  ["TLSV1_ALERT_CERTIFICATE_REQUIRED (ERR_SSL_TLSV1_ALERT_CERTIFICATE_REQUIRED)", "otlp.client_certificate"],
])("%p names the setting %s", (why, setting) => {
  expect(failureText(`https://${LOGS}`, why)).toMatch(new RegExp(`; .*${setting}( |$)`));
});

test("neither credentials nor the query of the endpoint are shown", () => {
  const text = failureText("https://user:secret@collector/v1/logs?token=secret", "HTTP 401");
  expect(text).toBe("collector/v1/logs: HTTP 401");
});
