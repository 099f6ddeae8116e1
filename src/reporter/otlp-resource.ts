// Who sends: the resource and the instrumentation scope of everything that is exported over OTLP.
import { readFileSync } from "node:fs";
import { version } from "../report/version.ts";
import type { PolicyDigests } from "./policy-digests.ts";

/** The version of OpenTelemetry's semantic conventions from which the names come. */
const SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0";
/** The namespace of treewarden's instance ids: a random UUID, which must never change. */
const INSTANCE_NAMESPACE = "4b0b5327-ddf4-450c-89ff-27c651b17605";

/** The identity of this host, which stays the same when treewarden is restarted. */
export interface HostIdentity {
  readonly hostId: string | undefined;
  readonly hostName: string;
  /** Two treewardens of one host have different ones. */
  readonly stateDirectory: string;
}

/** What OTLP calls the producer of a batch. */
export interface OtlpOrigin {
  /** Attributes. */
  readonly resource: Readonly<Record<string, string>>;
  readonly scope: { readonly name: string; readonly version: string };
  /** Of the conventions that both follow. */
  readonly schemaUrl: string;
}

/** The producer of metrics. `attributes`: further attributes of the resource, which may replace those of the host. */
export function otlpOrigin(host: HostIdentity, attributes: Readonly<Record<string, string>>): OtlpOrigin {
  return originOf({ ...hostAttributes(host), ...attributes });
}

/**
 * The producer of log records. What can change while treewarden runs stands on log records only: backends make the
 * resource part of the identity of every series, so each reload of a policy would begin new ones.
 */
export function otlpLogOrigin(
  host: HostIdentity,
  attributes: Readonly<Record<string, string>>,
  { roles, policyDigests, baselineDigests }: PolicyDigests,
): OtlpOrigin {
  const changing: Record<string, string> = {};
  if (roles.length > 0) changing["treewarden.role"] = roles.join(",");
  if (policyDigests.length > 0) changing["treewarden.policy.digest"] = policyDigests.join(",");
  if (baselineDigests.length > 0) changing["treewarden.baseline.digest"] = baselineDigests.join(",");
  return originOf({ ...hostAttributes(host), ...changing, ...attributes });
}

function originOf(resource: Readonly<Record<string, string>>): OtlpOrigin {
  return { resource, scope: { name: "treewarden", version }, schemaUrl: SCHEMA_URL };
}

function hostAttributes({
  hostId,
  hostName,
  stateDirectory,
}: HostIdentity): Readonly<Record<string, string>> {
  return {
    "service.name": "treewarden",
    "service.version": version,
    "service.instance.id": nameUuid(INSTANCE_NAMESPACE, `${hostId ?? hostName} ${stateDirectory}`),
    "host.name": hostName,
    "host.arch": process.arch === "x64" ? "amd64" : process.arch,
    "os.type": "linux",
    ...osAttributes(),
    ...(hostId === undefined ? {} : { "host.id": hostId }),
  };
}

/** From os-release(5). */
function osAttributes(): Readonly<Record<string, string>> {
  for (const file of ["/etc/os-release", "/usr/lib/os-release"]) {
    try {
      return osAttributesIn(readFileSync(file, "utf8"));
    } catch {
      // The file is absent or unreadable. The other one may be there.
    }
  }
  return {};
}

const osNames: ReadonlyMap<string, string> = new Map([
  ["NAME", "os.name"],
  ["VERSION_ID", "os.version"],
  ["PRETTY_NAME", "os.description"],
]);

function osAttributesIn(text: string): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const [, key = "", value = ""] = /^([A-Z_]+)=["']?([^"']*)["']?\s*$/.exec(line) ?? [];
    const name = osNames.get(key);
    if (name !== undefined && value !== "") found[name] = value;
  }
  return found;
}

/** The UUID of a name in a namespace: version 5 (RFC 9562, 5.5). */
function nameUuid(namespace: string, name: string): string {
  const hash = new Bun.CryptoHasher("sha1");
  hash.update(Buffer.from(namespace.replaceAll("-", ""), "hex"));
  hash.update(name);
  const bytes = hash.digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
