// Reads certificates and private keys, as root and before the reporter starts: a key often is readable by root alone.
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { anyFile, readCheckedFile } from "../linux/root-file.ts";
import { codeOf } from "../linux/system-error.ts";

/** A file that a setting names. */
export interface NamedFile {
  /** The setting or variable, for messages. */
  readonly setting: string;
  readonly path: string;
}

/** The texts, or what is wrong with the first file that cannot be used. */
export type PemResult<T> = ({ readonly ok: true } & T) | { readonly ok: false; readonly problem: string };

/** In bytes; the list of all authorities that Mozilla trusts has 230 kB. */
const PEM_LIMIT = 1 << 20;

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** Certificates of authorities: one or more. */
export function readAuthorities(file: NamedFile): PemResult<{ readonly ca: string }> {
  const read = readPem(file);
  if (!read.ok) return read;
  const certificates = certificatesIn(read.text);
  return certificates === undefined ? noCertificate(file) : { ok: true, ca: read.text };
}

/** A certificate, with those between it and the authority behind it, and the private key that belongs to it. */
export function readKeyPair(
  certificate: NamedFile,
  key: NamedFile,
): PemResult<{ readonly cert: string; readonly key: string }> {
  const cert = readPem(certificate);
  if (!cert.ok) return cert;
  const [own] = certificatesIn(cert.text) ?? [];
  if (own === undefined) return noCertificate(certificate);
  const secret = readPem(key);
  if (!secret.ok) return secret;
  const privateKey = parseKey(secret.text);
  if (typeof privateKey === "string") return problem(key, privateKey);
  if (!own.checkPrivateKey(privateKey))
    return problem(key, `does not belong to the certificate in ${certificate.path}`);
  return { ok: true, cert: cert.text, key: secret.text };
}

function readPem(file: NamedFile): PemResult<{ readonly text: string }> {
  const content = readCheckedFile(file.path, anyFile(PEM_LIMIT));
  if (content.ok) return { ok: true, text: content.bytes.toString("latin1") };
  const { reason, fix } = content.problem;
  return problem(file, fix === undefined ? reason : `${reason}; ${fix}`);
}

/** Undefined if there is none, or one cannot be parsed. */
function certificatesIn(text: string): readonly X509Certificate[] | undefined {
  try {
    const found = (text.match(CERTIFICATE) ?? []).map((each) => new X509Certificate(each));
    return found.length === 0 ? undefined : found;
  } catch {
    return undefined;
  }
}

/** The key, or what is wrong with it. */
function parseKey(text: string): KeyObject | string {
  try {
    return createPrivateKey(text);
  } catch (error) {
    return codeOf(error) === "ERR_MISSING_PASSPHRASE"
      ? "holds a private key that is encrypted: it must be one without a passphrase"
      : "holds no private key in PEM";
  }
}

function noCertificate(file: NamedFile): { readonly ok: false; readonly problem: string } {
  return problem(file, "holds no certificate in PEM");
}

function problem(
  { setting, path }: NamedFile,
  what: string,
): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem: `${setting}: ${path} ${what}` };
}
