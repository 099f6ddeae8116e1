// Recognises tokens and keys by the shape that their issuers give them, and long runs of random letters and digits.
// Digests and ids are hexadecimal and stay readable.
import type { Span } from "./spans.ts";

// Texts are hostile, so every expression takes linear time: it begins only where no character of its own class stands
// before it, and repeats one class at a time.

/** Tokens by issuer: https://docs.github.com/en/code-security/secret-scanning and the issuers' own documents. */
const shapes: readonly string[] = [
  "(?<![A-Z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Z0-9])", // AWS
  "(?<!\\w)gh[pousr]_\\w{20,}",
  "(?<!\\w)github_pat_\\w{20,}",
  "(?<![\\w-])gl(?:pat|dt|rt|cbt|ptt|ft|agent|oas|soat|imt)-[\\w-]{16,}", // GitLab
  "(?<![\\w-])(?:xox[abeoprs]|xapp)-[\\w-]{10,}", // Slack
  "(?<![\\w-])eyJ[\\w-]{8,}\\.[\\w-]{8,}(?:\\.[\\w-]*)?", // JSON web tokens, RFC 7519
  "(?<![\\w.-])hv[sbr]\\.[\\w-]{8,}", // Vault
  "(?<![\\w.-])s\\.[A-Za-z0-9]{24}(?![\\w.-])", // Vault before 1.10
  "(?<!\\w)(?:sk|rk)_(?:live|test)_\\w{10,}", // Stripe
  "(?<!\\w)whsec_[\\w+/=]{10,}",
  "(?<![\\w-])sk-(?:ant-|proj-|or-|live-|test-)[\\w-]{16,}",
  "(?<![\\w-])sk-[A-Za-z0-9]{32,}",
  "(?<![\\w-])AIza[\\w-]{30,}", // Google
  "(?<![\\w.-])ya29\\.[\\w-]{16,}",
  "(?<![\\w-])GOCSPX-[\\w-]{16,}",
  "(?<!\\w)npm_[A-Za-z0-9]{30,}",
  "(?<![\\w-])pypi-[\\w-]{16,}",
  "(?<!\\w)rubygems_\\w{32,}",
  "(?<![\\w-])dckr_(?:pat|oat)_[\\w-]{16,}", // Docker
  "(?<!\\w)do[opr]_v1_\\w{32,}", // DigitalOcean
  "(?<!\\w)shp(?:at|ss|ca|pa)_\\w{20,}", // Shopify
  "(?<![\\w.-])SG\\.[\\w-]{16,}\\.[\\w-]{16,}", // SendGrid
  "(?<![\\w-])xkeysib-[\\w-]{20,}",
  "(?<!\\w)SK[0-9a-f]{32}(?!\\w)", // Twilio
  "(?<!\\w)hf_[A-Za-z0-9]{20,}",
  "(?<!\\w)gls?[ac]_\\w{20,}", // Grafana
  "(?<!\\w)dapi[0-9a-f]{32}", // Databricks
  "(?<!\\w)(?:ATATT3x|ATBB|ATCTT3x)[\\w=-]{16,}", // Atlassian
  "(?<![\\w-])tskey-[\\w-]{10,}", // Tailscale
  "(?<!\\w)pul-[0-9a-f]{32,}", // Pulumi
  "(?<![\\w.-])\\w{14}\\.atlasv1\\.[\\w-]{20,}", // Terraform
  "(?<![\\w.-])dp\\.(?:st|pt|ct|sa)\\.[\\w.-]{16,}", // Doppler
  "(?<!\\w)lin_api_\\w{20,}",
  "(?<!\\w)NRAK-\\w{20,}",
  "(?<!\\w)figd_[\\w-]{20,}",
  "(?<!\\w)sntry[su]_[\\w+/=-]{20,}",
  "(?<![\\w-])AGE-SECRET-KEY-1[A-Z0-9]{16,}",
  "(?<!\\w)\\d{8,10}:[A-Za-z][\\w-]{33,}", // Telegram
  "(?<=hooks\\.slack\\.com\\/(?:services|workflows|triggers)\\/)[^\\s\"'<>]+",
  "(?<=discord(?:app)?\\.com\\/api\\/webhooks\\/)[^\\s\"'<>]+",
  "(?<=(?:webhook\\.office\\.com|hooks\\.zapier\\.com|chat\\.googleapis\\.com\\/v1\\/spaces)\\/)[^\\s\"'<>]+",
  "-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----[\\s\\S]*",
  "PuTTY-User-Key-File-[\\s\\S]*",
  // crypt(5), argon2 and the like: a digest of a password, which can be guessed.
  "\\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|argon2[id]{0,2}|scrypt|pbkdf2-sha\\d+)\\$[\\w./$=,+-]{12,}",
];
const shape = new RegExp(shapes.join("|"), "g");

/** Matches a part of each of these shapes, in a text of any length in linear time. */
const shapeHint =
  /AKIA|ASIA|ABIA|ACCA|gh[pousr]_|github_pat_|gl[a-z]{2,5}-|xox|xapp-|eyJ|hv[sbr]\.|s\.|_(?:live|test)_|whsec_|sk-|AIza|ya29|GOCSPX|npm_|pypi-|rubygems_|dckr_|_v1_|shp[a-z]{2}_|SG\.|xkeysib|SK|hf_|gl[a-z]{1,2}_|dapi|AT[AB]|ATCTT|tskey|pul-|atlasv1|dp\.|lin_api|NRAK|figd_|sntry|AGE-|\d:[A-Za-z]|hooks?\.|discord|chat\.|-----BEGIN |PuTTY-|\$/;

/** A run of characters that occur in keys. */
const run = /[A-Za-z0-9+_=-]{32,}/g;
/** AWS's secret access keys, which have slashes. */
const awsSecret = /(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])/g;
/** Text before a run that makes it a digest: of a file (SRI), of a key (ssh-keygen). */
const digestName = /(?:sha-?(?:1|224|256|384|512)|md5|blake2b)[-:=]$/i;
const digestInside = /(?:^|[-_=])(?:sha(?:1|256|384|512)|md5)[-_=][A-Za-z0-9+]+=*$/i;

/** The tokens and keys in a text that can be recognised without their names. */
export function tokensIn(text: string): readonly Span[] {
  const spans: Span[] = [];
  if (shapeHint.test(text))
    for (const { 0: token, index } of text.matchAll(shape))
      spans.push({ start: index, end: index + token.length });
  if (text.length < 32) return spans;
  for (const { 0: candidate, index } of text.matchAll(run)) {
    if (!isKey(candidate) || isPath(text, index) || isDigest(text, candidate, index)) continue;
    spans.push({ start: index, end: index + candidate.length });
  }
  for (const { 0: candidate, index } of text.matchAll(awsSecret))
    if (isMixed(candidate) && !isPath(text, index))
      spans.push({ start: index, end: index + candidate.length });
  return spans;
}

function isDigest(text: string, candidate: string, index: number): boolean {
  return digestInside.test(candidate) || digestName.test(text.slice(Math.max(0, index - 10), index));
}

/** The text to examine before a run to find whether it is a part of a path. */
const PATH_REACH = 256;

/** Whether the run at `index` is a part of a path of files, such as `/nix/store/...`. */
function isPath(text: string, index: number): boolean {
  let start = index;
  for (const least = index - PATH_REACH; start > least && !/^[\s=:,;"'(<>]?$/.test(text.charAt(start - 1)); )
    start -= 1;
  // A URL's path begins with two slashes here, because the colon is left out.
  return start < index && !text.startsWith("//", start) && /[/~.]/.test(text.charAt(start));
}

/** Whether a run is long and mixed enough to be a key. Options and names are not, because each of their words is short. */
function isKey(text: string): boolean {
  for (const part of text.split(/[-_=]/)) {
    if (part.length < 24 || isHexadecimal(part)) continue;
    const digits = part.replaceAll(/[^0-9]/g, "").length;
    if (digits === 0) continue;
    if (digits >= 4 || isMixed(part)) return true;
  }
  // URL-safe base64 can contain the separators; its short pieces then have digits and letters of both cases.
  const pieces = text.split(/[-_=]/).filter((piece) => isMixed(piece) && !isHexadecimal(piece));
  return pieces.join("").length >= 24;
}

/**
 * Whether a text is hexadecimal behind a short prefix: a digest, the id of a commit or container, a name of an interface.
 */
function isHexadecimal(text: string): boolean {
  const digits = Math.max(tail(text, /[0-9a-f]/), tail(text, /[0-9A-F]/));
  return digits >= 16 && /^(?:0x|[A-Za-z]{0,12})$/.test(text.slice(0, -digits));
}

/** How many characters at the end of a text are of a class. */
function tail(text: string, ofClass: RegExp): number {
  let start = text.length;
  while (start > 0 && ofClass.test(text.charAt(start - 1))) start -= 1;
  return text.length - start;
}

function isMixed(text: string): boolean {
  return /[a-z]/.test(text) && /[A-Z]/.test(text) && /[0-9]/.test(text);
}
