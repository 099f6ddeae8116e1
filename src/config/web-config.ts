// The web configuration file of Prometheus's exporters (`--web.config.file` of their exporter-toolkit), by which the
// endpoint gets TLS and passwords: a subset, whose other settings are refused by name.
import * as v from "valibot";
import { eitherOf, shownValue } from "../vocabulary/error-text.ts";
import { parseYaml, type YamlResult } from "./yaml-file.ts";

const clientAuthTypes = ["NoClientCert", "RequireAndVerifyClientCert"] as const;
const tlsVersions = ["TLS12", "TLS13"] as const;

const path = v.pipe(v.string("must be the path of a file"), v.nonEmpty("must not be empty"));
const oneOf = <const T extends readonly string[]>(values: T) =>
  v.picklist(values, ({ input }) => `must be ${eitherOf(values)}, not ${shownValue(input)}`);

const tlsEntries = {
  cert_file: path,
  key_file: path,
  client_auth_type: v.optional(oneOf(clientAuthTypes), "NoClientCert"),
  client_ca_file: v.optional(path),
  min_version: v.optional(oneOf(tlsVersions), "TLS12"),
};

const tlsServerConfig = v.pipe(
  v.strictObject(tlsEntries, "must be a section with cert_file and key_file"),
  v.check(
    ({ client_auth_type, client_ca_file }) =>
      (client_auth_type === "NoClientCert") === (client_ca_file === undefined),
    "must have client_ca_file if client_auth_type is RequireAndVerifyClientCert, and only then",
  ),
);

/** With a higher cost one comparison takes half a second of CPU and more, which anybody can ask for by a wrong password. */
const HIGHEST_COST = 12;
const bcrypt = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;
// The hash is not shown: it is what a password can be found by.
const passwordHash = v.pipe(
  v.string("must be a bcrypt hash, as htpasswd -B writes it"),
  v.check((hash) => {
    const cost = Number(bcrypt.exec(hash)?.[1] ?? 0);
    return cost >= 4 && cost <= HIGHEST_COST;
  }, `must be a bcrypt hash with a cost from 4 to ${HIGHEST_COST}: make it with htpasswd -nB -C 10 NAME`),
);
// RFC 7617: a user's name has no colon.
const userName = v.pipe(v.string(), v.regex(/^[^:]+$/, "must be a name without a colon"));

const entries = {
  tls_server_config: v.optional(tlsServerConfig),
  basic_auth_users: v.optional(
    v.pipe(
      v.record(userName, passwordHash, "must be a section of user names with the hashes of their passwords"),
      v.check((users) => Object.keys(users).length > 0, "must name a user"),
    ),
  ),
};

const schema = v.pipe(
  v.strictObject(entries, "must be a section of settings"),
  v.check(
    ({ tls_server_config: tls, basic_auth_users: users }) => tls !== undefined || users !== undefined,
    "must have tls_server_config or basic_auth_users: without either, it would protect nothing",
  ),
);

export type WebConfig = v.InferOutput<typeof schema>;

/** Parses YAML; `file` is used only in errors. */
export function parseWebConfig(yaml: string, file: string): YamlResult<WebConfig> {
  return parseYaml(yaml, file, schema, ([section, name]) =>
    Object.keys(section === "tls_server_config" && name !== undefined ? tlsEntries : entries),
  );
}
