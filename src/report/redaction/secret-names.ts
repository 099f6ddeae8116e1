// Which names denote a secret: of options, environment variables, fields and settings.

/** Matches a part of every name of a secret. Most words have none, which saves the expensive tests. */
export const secretNameHint = /pass|pwd|pw|secret|token|key|cred|auth|bearer|psk/i;

/** Words that denote a secret, also glued to another word: `keystorepassword`, `dbpass`. */
const secretWord =
  /(?:password|passwd|passphrase|passcode|secret|credential|passkey|psk)s?$|token$|(?:pass|pwd|cred|creds|rootpw)$|^(?:pw|bearer|masterauth)$/;
/** Words that end like those and denote none. */
const otherWord = /^(?:(?:com|by|tres|sur|over|under|ask|multi|single)pass|sacred)$/;
/** A key is a secret only if it is one of these: `api_key`, `PrivateKey`, `accountkey`. */
const secretKey =
  /^(?:api|access|private|auth|secret|encryption|account|storage|subscription|shared|signing|master|license|consumer|preshared|session|service|app|application|user|write|admin)keys?$/;
/** Words before a secret's name that make it a flag or a number: `--no-password`, `--max-tokens`. */
const denials = new Set(
  "no without disable skip max min num ask prompt allow require use enable force show hide print generate with".split(
    " ",
  ),
);
/** Words behind a secret's name that make it the name of something else: `--password-file`, `TOKEN_TTL`. */
const things = new Set(
  "file files path paths dir directory folder stdin fd env prompt expire expires expired expiry expiration policy ttl type name names length len min max count limit limits algorithm algo format command cmd helper manager url uri endpoint version days age timeout retries rotation provider lifetime required enabled disabled issuer audience bucket mount volume ref reference strength size field header param parameter arn engine service store eval source method authentication mode scope scopes".split(
    " ",
  ),
);
const keyThings = new Set(["id", "ids"]);

/** Names longer than this are judged by their end, which bounds the work. */
const LONGEST_NAME = 96;

/**
 * Whether the value that belongs to `name` is a secret. The words of a name are separated by punctuation or capital
 * letters: `db.password`, `API_KEY`, `keyStorePassword`.
 */
export function isSecretName(name: string): boolean {
  if (!secretNameHint.test(name)) return false;
  const words = wordsOf(name.slice(-LONGEST_NAME));
  for (let i = words.length - 1; i >= 0; i -= 1) {
    const word = words[i] ?? "";
    const isKey =
      secretKey.test(word) || (/^keys?$/.test(word) && secretKey.test(`${words[i - 1] ?? ""}${word}`));
    if (!isKey && (!secretWord.test(word) || otherWord.test(word))) continue;
    const rest = words.slice(i + 1);
    if (rest.some((thing) => things.has(thing) || (isKey && keyThings.has(thing)))) return false;
    // The digest of a certificate, as in `--discovery-token-ca-cert-hash`.
    if (rest.includes("cert") && rest.includes("hash")) return false;
    return !words.slice(0, i).some((before) => denials.has(before));
  }
  return false;
}

function wordsOf(name: string): readonly string[] {
  return name
    .replaceAll(/([a-z0-9])(?=[A-Z])/g, "$1-")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .map((word) => word.replace(/[0-9]{1,4}$/, ""))
    .filter((word) => word !== "");
}

/**
 * Whether a value is only a reference to a secret, or says that there is none: `$TOKEN`, `${DB_PASSWORD}`, `$(cat x)`,
 * `{{ password }}`.
 */
export function isReference(value: string): boolean {
  return /^(?:\$\{?[A-Z_][A-Z0-9_]*\}?$|\$[0-9@*#]?$|\$\(|`|\$?\{\{.*\}\}$|(?:true|false|null|none)?$)/s.test(
    value,
  );
}

/** Whether a value that is assigned to a secret's name is none. */
export function isHarmlessValue(name: string, value: string): boolean {
  // The shell's own variables are called like a password in ODBC.
  return isReference(value) || (value.startsWith("/") && /^(?:OLD)?PWD$/.test(name));
}
