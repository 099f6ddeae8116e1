// Who sends: the resource and the instrumentation scope of everything that is exported over OTLP.
import { type Resource, resourceFromAttributes } from "@opentelemetry/resources";
import type { ReadableLogRecord } from "@opentelemetry/sdk-logs";
import { version } from "../report/version.ts";

/** The identity of this host and run. */
export interface HostIdentity {
  readonly hostId: string | undefined;
  readonly hostName: string;
  readonly instanceId: string;
}

/** What OTLP calls the producer of a batch. */
export interface OtlpOrigin {
  readonly resource: Resource;
  readonly scope: ReadableLogRecord["instrumentationScope"];
}

/** `attributes`: further attributes of the resource, which may replace those of the host. */
export function otlpOrigin(
  { hostId, hostName, instanceId }: HostIdentity,
  attributes: Readonly<Record<string, string>>,
): OtlpOrigin {
  const resource = resourceFromAttributes({
    "service.name": "treewarden",
    "service.version": version,
    "service.instance.id": instanceId,
    "host.name": hostName,
    "host.arch": process.arch === "x64" ? "amd64" : process.arch,
    "os.type": "linux",
    ...(hostId === undefined ? {} : { "host.id": hostId }),
    ...attributes,
  });
  return { resource, scope: { name: "treewarden", version } };
}
