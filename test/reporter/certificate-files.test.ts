import { describe, expect, test } from "bun:test";
import { copyFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { defaultConfig } from "../../src/config/config.ts";
import { certificateFiles, watchCertificates } from "../../src/reporter/certificate-files.ts";
import { readOtlpSettings } from "../../src/reporter/read-otlp-settings.ts";
import { withCertificatesNow } from "../../src/reporter/renewed-certificates.ts";
import { Authority, textOf } from "./certificates.ts";

const LOOK_MS = 10;

describe("certificates that are renewed while treewarden runs", () => {
  const authority = new Authority();
  const [old, renewed] = [authority.issue("old"), authority.issue("renewed")];
  const cert = join(authority.folder, "client.pem");
  const key = join(authority.folder, "client.key");
  const replace = (path: string, by: string): void => {
    copyFileSync(by, `${path}.new`);
    renameSync(`${path}.new`, path);
  };
  const settings = () => {
    replace(cert, old.certificate);
    replace(key, old.key);
    const read = readOtlpSettings(defaultConfig().otlp, {
      OTEL_EXPORTER_OTLP_ENDPOINT: "https://127.0.0.1:4318",
      OTEL_EXPORTER_OTLP_CERTIFICATE: authority.certificate,
      OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: cert,
      OTEL_EXPORTER_OTLP_CLIENT_KEY: key,
    }).settings;
    if (read === null) throw new Error("OTLP is off");
    return read;
  };

  test("are those that the next reporter uses, for both signals", () => {
    const before = settings();
    replace(cert, renewed.certificate);
    replace(key, renewed.key);
    const now = withCertificatesNow(before, () => expect.unreachable());
    for (const signal of [now.logs, now.metrics])
      expect(signal?.tls).toMatchObject({
        ca: textOf(authority.certificate),
        cert: textOf(renewed.certificate),
        key: textOf(renewed.key),
      });
  });

  test("are not used while their key is still the old one", () => {
    const before = settings();
    const problems: string[] = [];
    replace(cert, renewed.certificate);
    expect(withCertificatesNow(before, (problem) => problems.push(problem))).toEqual(before);
    expect(problems[0]).toContain("does not belong to the certificate");
    expect(problems[0]).toEndWith("what was read before is used");
  });

  test("are noticed once the files no longer change", async () => {
    const paths = certificateFiles(settings());
    expect(paths).toEqual([authority.certificate, cert, key]);
    let renewals = 0;
    using _watch = watchCertificates(
      paths,
      () => {
        renewals += 1;
      },
      LOOK_MS,
    );
    await Bun.sleep(5 * LOOK_MS);
    expect(renewals).toBe(0);
    replace(cert, renewed.certificate);
    await Bun.sleep(20 * LOOK_MS);
    expect(renewals).toBe(1);
  });
});
