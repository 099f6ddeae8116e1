import { describe, expect, test } from "bun:test";
import { isHarmlessValue, isSecretName } from "../../../src/report/redaction/secret-names.ts";

describe("names that denote a secret", () => {
  for (const name of (
    "--password PASSWORD db.password keyStorePassword PGPASSWORD mysql_root_password passwd --pass dbpass PASSWORD2 " +
    "token accessToken GITHUB_TOKEN //r/:_authToken secret CLIENT_SECRET secret_id api_key apikey apiKey X-Api-Key " +
    "AWS_SECRET_ACCESS_KEY private-key AccountKey credentials wifi-sec.psk --storepass requirepass TOKEN_GITHUB"
  ).split(" "))
    test(name, () => expect(isSecretName(name)).toBeTrue());
});

describe("names that contain such a word and denote something else", () => {
  for (const name of (
    "--password-file TOKEN_PATH passwordFile --no-password --max-tokens tokenizer --passive compass bypass " +
    "PasswordAuthentication --password-stdin secretName token_ttl --ask-pass GIT_ASKPASS access_key_id keyboard key " +
    "author --discovery-token-ca-cert-hash --with-token monkey turkey"
  ).split(" "))
    test(name, () => expect(isSecretName(name)).toBeFalse());
});

test("a reference to a secret is none", () => {
  for (const value of [
    "$TOKEN",
    "$" + "{DB_PASSWORD}",
    "$(cat /run/token)",
    "{{ password }}",
    "$" + "{{ secrets.X }}",
    "$1",
    "",
  ])
    expect(isHarmlessValue("password", value)).toBeTrue();
  for (const value of ["$ecret", "hunter2", "{x}", "/x"])
    expect(isHarmlessValue("password", value)).toBeFalse();
  expect(isHarmlessValue("PWD", "/srv")).toBeTrue();
});
