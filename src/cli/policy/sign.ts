// `policy keygen`, `policy sign` and `policy verify`.
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from "node:fs";
import { timeText } from "../../baseline/baseline-file.ts";
import { codeOf } from "../../linux/system-error.ts";
import { printable } from "../../linux/text.ts";
import { filesOf, type LoadedRoles, loadPolicies } from "../../policy/load.ts";
import { formatSignature, formatStatement, signatureBeside } from "../../policy/signature.ts";
import { messageOf } from "../../vocabulary/errors.ts";
import { writeWhole } from "../baseline/store.ts";
import { cryptography, type KeyProblem, readPrivateKey, readPublicKey, verifierOf } from "../keys.ts";
import { CommandError, exitCodes, hint } from "../output.ts";
import { policySources, printPolicyErrors } from "../policies.ts";

/** Creates NAME.key and NAME.pub; existing files are never overwritten. */
export function keygen(name: string): void {
  const { privateKey, publicKey } = cryptography().generateKeyPairSync("ed25519");
  const files = [
    { path: `${name}.key`, mode: 0o600, text: privateKey.export({ type: "pkcs8", format: "pem" }) },
    { path: `${name}.pub`, mode: 0o644, text: publicKey.export({ type: "spki", format: "pem" }) },
  ];
  const created: string[] = [];
  try {
    for (const { path, mode, text } of files) {
      const fd = openSync(path, "wx", mode);
      created.push(path);
      try {
        writeSync(fd, String(text));
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
    }
  } catch (error) {
    for (const path of created) rmSync(path, { force: true });
    const exists = codeOf(error) === "EEXIST";
    throw new CommandError(
      exitCodes.usage,
      exists
        ? `${files[created.length]?.path} is there already; no key is overwritten`
        : `cannot write a key: ${messageOf(error)}`,
      exists ? "give another name: treewarden policy keygen NAME" : undefined,
    );
  }
  process.stdout.write(`${printable(name)}.key\n${printable(name)}.pub\n`);
  hint(`keep ${name}.key off servers; put ${name}.pub on them, as policy_keys in config.yaml`);
}

/** Signs the current content of a policy and of everything that it extends. A policy with errors is not signed. */
export function sign(name: string, keyFile: string): void {
  const key = readPrivateKey(keyFile);
  if ("message" in key) throw wrongKey(key);
  const loaded = loadPolicies([name], policySources("to show", "any"));
  if (loaded.policy === undefined) {
    printPolicyErrors(loaded.errors);
    throw new CommandError(exitCodes.usage, `${name} is broken, and was not signed`);
  }
  const place = placeOf(name, loaded);
  const { role } = loaded;
  const files = filesOf(role);
  const statement = formatStatement({ role: role.file.role, signed: Math.floor(Date.now() / 1000), files });
  const signature = cryptography().sign(null, Buffer.from(statement), key);
  const path = signatureBeside(place);
  writeWhole(path, formatSignature(statement, signature), 0o644);
  process.stdout.write(`${printable(path)}: ${coverage(files)}\n`);
}

/** Exits with code 1 if the policy is not signed, not with one of these keys, or was changed since. */
export function verify(name: string, keyFiles: readonly string[]): void {
  const keys = keyFiles.map((file) => {
    const key = readPublicKey(file, "to show");
    if ("message" in key) throw wrongKey(key);
    return key;
  });
  const trust = { verify: verifierOf(keys), newest: new Map<string, number>() };
  const loaded = loadPolicies([name], { ...policySources("to show", "any"), trust });
  if (loaded.policy === undefined) {
    printPolicyErrors(loaded.errors);
    throw new CommandError(
      loaded.refused ? exitCodes.no : exitCodes.usage,
      loaded.refused
        ? `${name} must be unchanged since it was signed with one of the given keys`
        : `${name} is broken`,
    );
  }
  const place = placeOf(name, loaded);
  const { role } = loaded;
  const signed = loaded.signed.get(role.file.role) ?? 0;
  process.stdout.write(
    `${printable(place)}: role ${role.file.role}, signed ${timeText(signed)}, ${coverage(filesOf(role))}\n`,
  );
}

function placeOf(name: string, { role }: LoadedRoles): string {
  if (role.source !== undefined && role.files.length > 0) return role.source.document.file;
  throw new CommandError(
    exitCodes.usage,
    `${name} is embedded in treewarden and needs no signature`,
    "name a file",
  );
}

function coverage(files: readonly { readonly kind: string; readonly role: string }[]): string {
  return files.map(({ kind, role }) => `${kind} ${role}`).join(", ");
}

function wrongKey({ file, message, fix }: KeyProblem): CommandError {
  return new CommandError(exitCodes.usage, `${file}: ${message}`, fix);
}
