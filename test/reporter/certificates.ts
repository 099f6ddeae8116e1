// Certificates for tests, made by openssl(1): an authority, and what it signs.
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class Authority {
  readonly folder = mkdtempSync(join(tmpdir(), "treewarden-certificates-"));
  readonly certificate = join(this.folder, "ca.pem");

  constructor(name = "authority") {
    const key = join(this.folder, "ca.key");
    openssl("req", "-x509", ...newKey(key), "-subj", `/CN=${name}`, "-days", "2", "-out", this.certificate);
  }

  /** A certificate for 127.0.0.1 and localhost, and its key. */
  issue(name: string): { readonly certificate: string; readonly key: string } {
    const file = (ending: string): string => join(this.folder, `${name}.${ending}`);
    const [key, request, certificate, extensions] = [file("key"), file("csr"), file("pem"), file("ext")];
    writeFileSync(extensions, "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
    openssl("req", ...newKey(key), "-subj", `/CN=${name}`, "-out", request);
    const authority = ["-CA", this.certificate, "-CAkey", join(this.folder, "ca.key"), "-CAcreateserial"];
    openssl(
      "x509",
      "-req",
      "-in",
      request,
      ...authority,
      "-days",
      "2",
      "-extfile",
      extensions,
      "-out",
      certificate,
    );
    return { certificate, key };
  }
}

export function textOf(path: string): string {
  return readFileSync(path, "utf8");
}

function newKey(path: string): readonly string[] {
  return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path];
}

function openssl(...args: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(["openssl", ...args]);
  if (exitCode !== 0) throw new Error(`openssl ${args.join(" ")}: ${stderr.toString()}`);
}
