import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { commandsIn, positionsOf } from "../../../src/report/redaction/shell-words.ts";

/** The words of each command, without their quotes. */
function wordsOf(code: string): readonly (readonly string[])[] {
  return commandsIn(code).map(({ words }) => words.map(({ value }) => value));
}

describe("shell code consists of simple commands", () => {
  const cases: readonly (readonly [string, readonly (readonly string[])[]])[] = [
    ["ls -l /etc", [["ls", "-l", "/etc"]]],
    ["cd /srv && ls; id & wait", [["cd", "/srv"], ["ls"], ["id"], ["wait"]]],
    ["if true; then ls; else id; fi", [["true"], ["ls"], ["id"], ["fi"]]],
    ["echo 'a b' \"c d\" e\\ f", [["echo", "a b", "c d", "e f"]]],
    ["echo $'it\\'s'", [["echo", "it's"]]],
    ["ls \\\n -l", [["ls", "-l"]]],
    ["A=1 B=2 env", [["env"], ["A=1"], ["B=2"]]],
    ["ls > log 2>&1 -l", [["ls", "2", "-l"]]],
    [
      "a $(b c) d",
      [
        ["a", "$", "d"],
        ["b", "c"],
      ],
    ],
    [
      "a `b c` d",
      [
        ["a", "d"],
        ["b", "c"],
      ],
    ],
    ["(a b); c", [["a", "b"], ["c"]]],
    ["it's one word", [["its one word"]]],
  ];
  for (const [code, commands] of cases)
    test(code, () => expect([...wordsOf(code)].sort()).toEqual([...commands].sort()));
});

describe("a command has what the shell connects it to", () => {
  test("the reader of its output", () => {
    const [echo] = commandsIn("echo a | sudo -S id");
    expect(echo?.pipedTo?.words.map(({ value }) => value)).toEqual(["sudo", "-S", "id"]);
    expect(commandsIn("a || b")[0]?.pipedTo).toBeUndefined();
  });

  test("here strings, here documents and the files of its output", () => {
    expect(commandsIn("cat <<< 'a b'")[0]?.input.map(({ value }) => value)).toEqual(["a b"]);
    expect(commandsIn("cat <<EOF\na\nb\nEOF\nid")[0]?.input.map(({ value }) => value)).toEqual(["a\nb"]);
    expect(
      commandsIn("cat <<EOF\na\nb\nEOF\nid")
        .at(-1)
        ?.words.map(({ value }) => value),
    ).toEqual(["id"]);
    expect(commandsIn("echo a >> f")[0]?.outputFiles.map(({ value }) => value)).toEqual(["f"]);
  });
});

test("the positions of a word lead from its value to the code", () => {
  const code = fc.array(
    fc.constantFrom("a", "b ", "'", '"', "\\", "$'", " ", ";", "|", "(", ")", "`", "<<", "\n", ">"),
  );
  fc.assert(
    fc.property(code, (parts) => {
      const text = parts.join("");
      for (const command of commandsIn(text)) {
        for (const word of [...command.words, ...command.input, ...command.outputFiles]) {
          const positions = positionsOf(text, word);
          expect(positions.length).toBe(word.value.length + 1);
          expect([...word.value].map((_, i) => text.charAt(positions[i] ?? -1)).join("")).toBe(word.value);
          expect(word.stop).toBeLessThanOrEqual(text.length);
        }
      }
    }),
    { numRuns: 2_000 },
  );
});
