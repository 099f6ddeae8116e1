// Reads certificates and keys of OTLP that were renewed since `treewarden run` read them. A private key often is readable
// by root alone, so a reporter does this before it becomes its own user.
import type { OtlpSettings, TlsContents } from "./otlp-settings.ts";
import { readAuthorities, readKeyPair } from "./pem-files.ts";

/**
 * The settings with the contents that the files have now. Of a file that cannot be used the contents stay as they were;
 * `warn` is called with the reason.
 */
export function withCertificatesNow(settings: OtlpSettings, warn: (message: string) => void): OtlpSettings {
  const { logs, metrics } = settings;
  return {
    ...settings,
    logs: logs && { ...logs, tls: contentsNow(logs.tls, warn) },
    metrics: metrics && { ...metrics, tls: contentsNow(metrics.tls, warn) },
  };
}

function contentsNow(before: TlsContents, warn: (message: string) => void): TlsContents {
  const { ca, cert, key } = before.files;
  const authorities = ca && readAuthorities(ca);
  const pair = cert && key && readKeyPair(cert, key);
  for (const each of [authorities, pair])
    if (each?.ok === false) warn(`${each.problem}: what was read before is used`);
  return {
    ...before,
    ...(authorities?.ok === true ? { ca: authorities.ca } : {}),
    ...(pair?.ok === true ? { cert: pair.cert, key: pair.key } : {}),
  };
}
