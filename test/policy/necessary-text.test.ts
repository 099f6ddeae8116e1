// Most expressions are never asked, because none of the texts is there of which each of their matches contains one.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { RE2JS } from "re2js";
import { embeddedPolicies } from "../../src/policy/embedded.ts";
import { necessaryTexts } from "../../src/policy/necessary-text.ts";

test.each([
  ["(?s)\\bsocket\\b.*\\b(dup2|pty\\.spawn)\\b", ["socket"]],
  ["(?s)\\b(ba|z|k|da)?sh +-[a-z]*i[a-z]*\\b.{0,80}/dev/(tcp|udp)/", ["/dev/"]],
  ["\\bLD_(PRELOAD|AUDIT)=[^ ]*(/tmp/|/dev/shm/)", ["PRELOAD", "AUDIT"]],
  ["\\b(curl|wget)\\b[^|;&]*\\| *((ba|z)?sh|perl)\\b", ["curl", "wget"]],
  ["(^|[:; ])/(tmp|var/tmp)(/|:|$)", ["tmp", "var/tmp"]],
  [">>? *[\"']?/etc/ld\\.so\\.preload", ["/etc/ld.so.preload"]],
  ["abcd?e", ["abc"]],
  ["abcd+e", ["abcd"]],
  ["abc{2}", ["ab"]],
  ["abc|def", ["abc", "def"]],
  ["abc|", undefined],
  ["(abc|d?)", undefined],
  ["(abc|def)?g", ["g"]],
  ["{a|b}cde", undefined],
  ["(a{,3}|b)cde", undefined],
  ["(?i)abc", undefined],
  ["\\Qabc\\E", undefined],
  ["[abc]def", ["def"]],
  ["[]abc]def", ["def"]],
  ["[[:alpha:]abc]def", ["def"]],
  ["(a(bcd|e)f)ghi", ["ghi"]],
  ["(abc", undefined],
  ["abc)", undefined],
])("every match of %s contains one of %p", (expression, texts) => {
  expect(necessaryTexts(expression)).toEqual(texts);
});

const piece = fc.oneof(
  fc.constantFrom(
    "abc",
    "dev",
    "x",
    "a b",
    "/",
    "\\.",
    "\\|",
    "\\b",
    "\\d",
    ".",
    "^",
    "$",
    " ",
    "]",
    "{",
    "}",
    ":",
  ),
  fc.constantFrom(
    "[abc]",
    "[^abc]",
    "[]abc]",
    "[^]abc]",
    "[[:alpha:]abc]",
    "[a\\]bc]",
    "(abc|dev)",
    "(?:abc)",
    "(a(bc|x)de)",
    "(abc|)",
    "(^|[: ])",
  ),
  fc.constantFrom(
    "*",
    "+",
    "?",
    "{2}",
    "{0,3}",
    "*?",
    "+?",
    "|",
    "(?i)",
    "(?s)",
    "\\Qabc\\E",
    "\\x61bc",
    "\\pLabc",
  ),
);
const expressions = fc.array(piece, { minLength: 1, maxLength: 7 }).map((pieces) => pieces.join(""));
const texts = fc
  .array(
    fc.constantFrom("abc", "ab", "dev", "de", "x", "a", " ", "/", ".", "|", "]", "1", "A", "ABC", "\n"),
    { maxLength: 6 },
  )
  .map((parts) => parts.join(""));

test("no text without one matches", () => {
  let asked = 0;
  fc.assert(
    fc.property(expressions, fc.array(texts, { minLength: 10, maxLength: 10 }), (expression, some) => {
      const necessary = necessaryTexts(expression);
      const compiled = compile(expression);
      fc.pre(necessary !== undefined && compiled !== undefined);
      for (const text of some) {
        asked += 1;
        if (compiled.test(text)) expect(necessary.filter((one) => text.includes(one))).not.toBeEmpty();
      }
    }),
    { numRuns: 1_500 },
  );
  expect(asked).toBeGreaterThan(4_000);
});

test("most of the expressions that are shipped have some", () => {
  const shipped = [...embeddedPolicies.values()].flatMap((role) =>
    [...role.matchAll(/"matches": \[\s*\{ "var": [^}]*\},\s*"((?:[^"\\]|\\.)*)"/g)].map(([, text]) =>
      JSON.parse(`"${text}"`),
    ),
  );
  expect(shipped.length).toBeGreaterThan(20);
  const withText = shipped.filter((text) => necessaryTexts(String(text)) !== undefined);
  expect(withText.length).toBeGreaterThan(shipped.length / 2);
});

function compile(expression: string): RE2JS | undefined {
  try {
    return RE2JS.compile(expression);
  } catch {
    return undefined;
  }
}
