// Reads the web configuration file and the certificates that it names, as root: the reporter gets their contents.
import { dirname, resolve } from "node:path";
import { parseWebConfig } from "../config/web-config.ts";
import { decidingFile, readCheckedFile } from "../linux/root-file.ts";
import type { OutputProblem } from "../report/output-problem.ts";
import type { EndpointSecurity } from "../reporter/endpoint-security.ts";
import { readAuthorities, readKeyPair } from "../reporter/pem-files.ts";

/** In bytes: a thousand users. */
const FILE_LIMIT = 128 << 10;

export interface EndpointReading {
  /** Null: the endpoint is open to anyone who can connect. */
  readonly security: EndpointSecurity | null;
  /** If there are any, the endpoint must not be opened: it would show what the file protects. */
  readonly problems: readonly OutputProblem[];
}

/** `path`: the setting `metrics.web_config`. */
export function readEndpointSecurity(path: string | undefined): EndpointReading {
  if (path === undefined) return { security: null, problems: [] };
  const content = readCheckedFile(path, decidingFile(FILE_LIMIT));
  if (!content.ok) {
    const { reason, fix } = content.problem;
    return off([`metrics.web_config: ${path} ${reason}${fix === undefined ? "" : `; ${fix}`}`]);
  }
  const result = parseWebConfig(content.bytes.toString("utf8"), path);
  if (!result.ok)
    return off(result.errors.map(({ line, column, message }) => `${path}:${line}:${column}: ${message}`));
  const { tls_server_config: server, basic_auth_users: users = {} } = result.value;
  if (server === undefined) return { security: { tls: null, users }, problems: [] };
  // Paths are relative to the folder of the file, as for Prometheus's exporters.
  const named = (setting: string, file: string) => ({ setting, path: resolve(dirname(path), file) });
  const pair = readKeyPair(named("cert_file", server.cert_file), named("key_file", server.key_file));
  if (!pair.ok) return off([`${path}: ${pair.problem}`]);
  const { client_ca_file: clientCa } = server;
  const authorities = clientCa === undefined ? undefined : readAuthorities(named("client_ca_file", clientCa));
  if (authorities?.ok === false) return off([`${path}: ${authorities.problem}`]);
  const tls = {
    cert: pair.cert,
    key: pair.key,
    clientAuthorities: authorities?.ca ?? null,
    onlyTls13: server.min_version === "TLS13",
  };
  return { security: { tls, users }, problems: [] };
}

function off(texts: readonly string[]): EndpointReading {
  return {
    security: null,
    problems: texts.map((text) => ({
      signals: ["endpoint"],
      text: `the endpoint for Prometheus is off: ${text}`,
    })),
  };
}
