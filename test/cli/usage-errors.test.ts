// What the option parser says, as a person sees it: what must be, not what the parser is called inside.
import { describe, expect, test } from "bun:test";
import { join } from "node:path";

const main = join(import.meta.dir, "../../src/main.ts");

function stderrOf(...words: readonly string[]): string {
  const run = Bun.spawnSync([process.execPath, main, ...words]);
  expect(run.exitCode).toBe(2);
  expect(run.stdout.toString()).toBe("");
  return run.stderr.toString();
}

const help = (command: string): string => `  hint: ${command} --help shows what there is\n`;

describe("wrong use is told in one style", () => {
  const cases: readonly [readonly string[], string][] = [
    [["rnu"], 'treewarden: unknown command "rnu"\n  hint: did you mean run?\n'],
    [["help", "evnts"], 'treewarden: unknown command "evnts"\n  hint: did you mean events?\n'],
    [["help", "policy", "chek"], 'treewarden: unknown command "chek"\n  hint: did you mean check?\n'],
    [
      ["policy", "help", "zzz"],
      'treewarden: unknown command "zzz"\n  hint: treewarden help policy shows the commands\n',
    ],
    [["events", "--folow"], 'treewarden: unknown option "--folow"\n  hint: did you mean --follow?\n'],
    [["events", "--since"], `treewarden: --since needs a value\n${help("treewarden events")}`],
    [
      ["ps", "--output", "xml"],
      `treewarden: --output must be pretty or json, not "xml"\n${help("treewarden ps")}`,
    ],
    [
      ["events", "--pid", "x"],
      `treewarden: --pid must be a process id, not "x"\n${help("treewarden events")}`,
    ],
    [
      ["events", "--severity", "hig"],
      `treewarden: --severity must be low, medium, high or critical, not "hig": did you mean high?\n${help("treewarden events")}`,
    ],
    [["explain", "x"], `treewarden: pid must be a process id, not "x"\n${help("treewarden explain")}`],
    [["show"], `treewarden: <uid> is missing\n${help("treewarden show")}`],
    [["policy", "sign", "x"], `treewarden: --key is needed\n${help("treewarden policy sign")}`],
    [["policy", "sgin"], 'treewarden: unknown command "sgin"\n  hint: did you mean sign?\n'],
    [["rnu\u001b[2J"], `treewarden: unknown command "rnu\\u001b[2J"\n${help("treewarden")}`],
  ];
  for (const [words, expected] of cases)
    test(words.join(" "), () => expect(stderrOf(...words)).toBe(expected));
});

describe("help of a command below another one", () => {
  test.each([
    [["help", "policy", "check"], "treewarden policy check "],
    [["policy", "help", "check"], "treewarden policy check "],
    [["help", "baseline", "exclude", "list"], "treewarden baseline exclude list "],
    [["baseline", "help", "exclude", "list"], "treewarden baseline exclude list "],
    [["help", "baseline", "exclude"], "treewarden baseline exclude "],
    [["help", "policy"], "treewarden policy "],
    [["help", "ps"], "treewarden ps "],
    [["help"], "treewarden "],
  ])("%j", (words, command) => {
    const run = Bun.spawnSync([process.execPath, main, ...words]);
    expect(run.stdout.toString()).toStartWith(`Usage: ${command}[`);
    expect([run.exitCode, run.stderr.toString()]).toEqual([0, ""]);
  });
});
