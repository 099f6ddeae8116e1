// Certificates for tests of TLS, made by openssl(1): of an authority of their own, right and wrong ones.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Certificate } from "./hop.ts";

export interface Certificates {
  /** The file of the authority. */
  readonly authority: string;
  readonly good: Certificate;
  readonly expired: Certificate;
  /** For another name than 127.0.0.1. */
  readonly misnamed: Certificate;
  /** Of nobody's authority but its own. */
  readonly foreign: Certificate;
}

export function createCertificates(folder: string): Certificates {
  const path = (name: string): string => join(folder, name);
  const openssl = (...args: readonly string[]): void => {
    const run = Bun.spawnSync(["openssl", ...args], { cwd: folder });
    if (!run.success) throw new Error(`openssl ${args[0]}: ${run.stderr.toString()}`);
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const read = (name: string): Certificate => ({
    cert: readFileSync(path(`${name}.crt`), "utf8"),
    key: readFileSync(path(`${name}.key`), "utf8"),
  });
  const selfSigned = (name: string, subject: string): void =>
    openssl(
      "req",
      "-x509",
      ...key,
      "-days",
      "2",
      "-subj",
      subject,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.crt`,
    );
  const signed = (name: string, alternative: string, days: string): Certificate => {
    openssl("req", ...key, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`);
    writeFileSync(path(`${name}.ext`), `subjectAltName=${alternative}\n`);
    const authority = ["-CA", "authority.crt", "-CAkey", "authority.key", "-CAcreateserial"];
    const files = ["-in", `${name}.csr`, "-extfile", `${name}.ext`, "-out", `${name}.crt`];
    openssl("x509", "-req", ...files, ...authority, "-days", days);
    return read(name);
  };
  selfSigned("authority", "/CN=treewarden test authority");
  selfSigned("foreign", "/CN=127.0.0.1");
  return {
    authority: path("authority.crt"),
    good: signed("good", "IP:127.0.0.1", "2"),
    expired: signed("expired", "IP:127.0.0.1", "-1"),
    misnamed: signed("misnamed", "DNS:elsewhere.example", "2"),
    foreign: read("foreign"),
  };
}
