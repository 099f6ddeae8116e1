// The message about an export that failed: the endpoint that it concerns, the reason, and what usually is wrong then.

/** A pattern of the reason, and the hint; `scheme`: only for such endpoints. */
interface Hint {
  readonly reason: RegExp;
  readonly scheme?: "http:" | "https:";
  readonly text: (path: string) => string;
}

const hints: readonly Hint[] = [
  { reason: /^HTTP 404\b/, text: appendedPath },
  // A server that expects TLS closes the connection, or answers with an alert, which is not HTTP.
  { reason: /\((ECONNRESET|HPE_\w+)\)$/, scheme: "http:", text: () => "is it https?" },
  { reason: /WRONG_VERSION_NUMBER/, scheme: "https:", text: () => "is it http?" },
  // Alerts of RFC 8446, section 6: the server asks for a certificate, or does not accept the one it got.
  { reason: /ALERT_(CERTIFICATE_|BAD_CERTIFICATE|UNKNOWN_CA)/, text: () => "see otlp.client_certificate" },
  {
    reason: /\((UNABLE_TO_(VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT\w*)|\w*SELF_SIGNED_CERT\w*)\)$/,
    text: () => "otlp.certificate must name the authority of the collector's certificate",
  },
];

/** `url`: of the endpoint; its credentials and its query, which may hold a token, are not shown. */
export function failureText(url: string, why: string): string {
  const { host, pathname, protocol } = new URL(url);
  const hint = hints.find(
    ({ reason, scheme }) => reason.test(why) && (scheme === undefined || scheme === protocol),
  );
  const text = hint?.text(pathname) ?? "";
  return `${host}${pathname}: ${why}${text === "" ? "" : `; ${text}`}`;
}

function appendedPath(path: string): string {
  const appended = /\/v1\/(?:logs|metrics)$/.exec(path)?.[0];
  return appended === undefined ? "" : `${appended} is appended to otlp.endpoint`;
}
