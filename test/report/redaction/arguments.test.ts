// Command lines with secrets, and command lines that an incident needs as they are.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { redactArguments, redactText } from "../../../src/report/redaction/arguments.ts";
import { expectLinear } from "../../cost.ts";
import { commandLines, harmless, withSecrets } from "./command-lines.ts";

/** A command line as a person types it into a shell. */
function inShell(args: readonly string[]): string {
  return args
    .map((arg) => (/^[\w/=:%.,@+-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`))
    .join(" ");
}

function leaked(redacted: readonly string[], secrets: readonly string[]): readonly string[] {
  return secrets.filter((secret) => redacted.some((arg) => arg.includes(secret)));
}

describe("a secret does not leave", () => {
  for (const { args, secrets, note = "" } of withSecrets)
    test(`${note} ${args.join(" ")}`.trim().slice(0, 80), () => {
      expect(leaked(redactArguments(args), secrets)).toEqual([]);
    });
});

describe("what has no secret does not change", () => {
  for (const { args, note = "" } of harmless)
    test(`${note} ${args.join(" ")}`.trim().slice(0, 80), () => {
      expect(redactArguments(args)).toEqual([...args]);
    });
});

describe("inside a shell as outside", () => {
  // The code for a shell is one argument, where `echo` and the like are no programs of their own.
  test("a secret does not leave", () => {
    const leaks = withSecrets.filter(
      ({ args, secrets, note }) =>
        note !== "cut before the @" &&
        (leaked(redactArguments(["sh", "-c", inShell(args)]), secrets).length > 0 ||
          leaked(redactArguments(["ssh", "host", `cd /srv && ${inShell(args)} | tee log`]), secrets).length >
            0),
    );
    expect(leaks.map(({ args }) => inShell(args))).toEqual([]);
  });

  test("what has no secret does not change", () => {
    const changed = harmless.map(({ args }) => inShell(args)).filter((line) => redactText(line) !== line);
    expect(changed).toEqual([]);
  });
});

test("what was redacted once is not changed by a second time", () => {
  for (const { args } of commandLines) {
    const once = redactArguments(args);
    expect(redactArguments(once)).toEqual(once);
  }
});

test("a secret that was recognised in one place is replaced in all arguments", () => {
  expect(redactArguments(["app", "--password", "s3cretS3", "--url=//h/s3cretS3", "s3cretS3"])).toEqual([
    "app",
    "--password",
    "[redacted]",
    "--url=//h/[redacted]",
    "[redacted]",
  ]);
  // A word that occurs everywhere is not.
  expect(redactArguments(["app", "--password", "shop", "shop"])).toEqual([
    "app",
    "--password",
    "[redacted]",
    "shop",
  ]);
});

describe("hostile arguments", () => {
  const pieces = [
    ...[
      "a",
      "token",
      "://",
      "x=",
      "a:@",
      "'",
      "\"a b' ",
      "-p ",
      "$(",
      'password="',
      "password '",
      "eyJ",
      "sk-",
      "$1$",
    ],
    ...[
      "login('",
      "(",
      "`",
      "<<E\n",
      'send "assword',
      "Cookie: ",
      "bearer ",
      "\\",
      "a/",
      "AKIA",
      "0A",
      "'\"",
      "| sudo -S ",
      "auth=(",
      "token=$(",
      "?key=",
      "<password>",
    ],
  ];

  test("cost time in proportion to their length", () => {
    for (const piece of pieces)
      expectLinear((size) => {
        redactArguments(["sh", "-c", piece.repeat(Math.ceil(size / piece.length))]);
      }, 4_000);
  });

  test("that are one long word cost time in proportion to their length", () => {
    for (const beginning of [
      "",
      "?key=",
      "auth=",
      "x-",
      "eyJ",
      "sha1-",
      "https://",
      "-p",
      '"',
      "<",
      "login('",
    ])
      for (const character of ["a", "f", "-", "1.", "aA1", ":", "="])
        expectLinear((size) => {
          redactArguments(["app", beginning + character.repeat(size / character.length), "z"]);
        }, 4_000);
  });

  test("with thousands of subcommands that take a secret cost time in proportion to their length", () => {
    for (const [program, subcommand] of [
      ["vault", "login"],
      ["redis-cli", "auth"],
      ["virsh", "set-user-password"],
    ] as const)
      expectLinear((size) => {
        redactArguments([program, ...Array.from({ length: size }, () => subcommand)]);
      }, 16_000);
    const words = Array.from({ length: 1_000 }, () => "login");
    expect(redactArguments(["vault", ...words, "s3cretS3", "x"])).not.toContain("s3cretS3");
  });

  test("of 128 kB together are examined in part, and what was not examined does not leave", () => {
    expectLinear((size) => redactArguments(["x", ...Array.from({ length: size }, () => "token=")]), 4_000);
    const args = [
      "sh",
      "-c",
      ...Array.from({ length: 32 }, () => "a=b -p x 'token \"".repeat(241)),
      "unseen",
    ];
    const redacted = redactArguments(args);
    expect(redacted.at(-1)).toBe("...");
  });

  test("that are too long are cut between two words", () => {
    const [, text = ""] = redactArguments(["x", `${"word ".repeat(818)}hunter2xQz is cut`]);
    expect(text.endsWith("word ...")).toBeTrue();
  });

  test("never change in number, and any text has an answer", () => {
    const word = fc.oneof(
      fc.string({ unit: "binary" }),
      fc
        .array(fc.constantFrom(...pieces, " ", "mysql", "echo"), { maxLength: 12 })
        .map((parts) => parts.join("")),
      fc.constantFrom("-p", "--password", "-u", "--token", "docker", "login"),
    );
    fc.assert(
      fc.property(fc.array(word), (args) => {
        expect(redactArguments(args).length).toBe(args.length);
      }),
      { numRuns: 1_000 },
    );
  });
});
