// How the endpoint is protected: the contents of the web configuration file and of the files that it names. They are
// read as root, because a key often is readable by root alone, and passed to the reporter in its plan.
import * as v from "valibot";

export const endpointSecuritySchema = v.strictObject({
  /** PEM; null: no TLS. */
  tls: v.nullable(
    v.strictObject({
      cert: v.string(),
      key: v.string(),
      /** A client must show a certificate of one of these authorities; null: it need not. */
      clientAuthorities: v.nullable(v.string()),
      /** Refuses TLS 1.2. */
      onlyTls13: v.boolean(),
    }),
  ),
  /** bcrypt hashes of passwords by user; empty: no password is needed. */
  users: v.record(v.string(), v.string()),
});
export type EndpointSecurity = Readonly<v.InferOutput<typeof endpointSecuritySchema>>;
