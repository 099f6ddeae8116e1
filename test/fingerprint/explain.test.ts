import { describe, expect, test } from "bun:test";
import { CommanderError } from "commander";
import { type ExplainRequest, explainCommand, isStated } from "../../src/cli/explain.ts";
import { CommandError } from "../../src/cli/output.ts";

function read(text: string): ExplainRequest {
  let request: ExplainRequest | undefined;
  explainCommand((asked) => {
    request = asked;
  })
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .parse(text === "" ? [] : text.split(" "), { from: "user" });
  if (request === undefined) throw new Error(`explain ${text} asked nothing`);
  return request;
}

describe("explain's command line", () => {
  test("is a process id", () => {
    expect(read("4711 --policy web.json").pid).toBe(4711);
    expect(read("4711 --policy web.json").host.policy).toEqual(["web.json"]);
  });

  test.each([
    "4711 --policy web --policy database --output json --state-dir /srv/tw",
    "--output json --policy web 4711 --policy database --state-dir /srv/tw",
    "--state-dir=/srv/tw --policy=web --policy=database --output=json 4711",
  ])("may have its options in any order: %p", (text) => {
    expect(read(text)).toEqual({
      pid: 4711,
      programs: [],
      connection: undefined,
      output: "json",
      host: { config: undefined, policy: ["web", "database"], stateDir: "/srv/tw" },
    });
  });

  test("or a connection of theirs", () => {
    expect(read("4711 --connect [2001:db8::1]:443").connection).toMatchObject({
      "event.name": "network.connect",
      "network.peer.address": "2001:db8::1",
      "network.peer.port": 443,
    });
    expect(read("4711 --connect 203.0.113.7:22").connection).toMatchObject({ "network.peer.port": 22 });
  });

  test("or programs, each with arguments that may look like options", () => {
    expect(read("--exe /bin/a /bin/b --args -c --x --exe /bin/c --output json").programs).toEqual([
      { executable: "/bin/a", args: undefined },
      { executable: "/bin/b", args: ["b", "-c", "--x"] },
      { executable: "/bin/c", args: undefined },
    ]);
    expect(read("--output json --exe /bin/ls --args --help -V --policy web").programs).toEqual([
      { executable: "/bin/ls", args: ["ls", "--help", "-V"] },
    ]);
  });

  test("takes all that follows -- as arguments, its own options among them", () => {
    const request = read("--exe /bin/b --output json -- -c --exe --output 4711 -- --policy=x");
    expect(request.programs).toEqual([
      { executable: "/bin/b", args: ["b", "-c", "--exe", "--output", "4711", "--", "--policy=x"] },
    ]);
    expect([request.output, request.pid, request.host.policy]).toEqual(["json", undefined, undefined]);
    expect(read("--exe /bin/b --args x -- --exe").programs[0]?.args).toEqual(["b", "x", "--exe"]);
  });

  test("adds the program's own name to its arguments unless it is there", () => {
    const argsOf = (text: string) => read(text).programs[0]?.args;
    expect(argsOf("--exe /usr/bin/python3.11 --args /tmp/x.py")).toEqual(["python3.11", "/tmp/x.py"]);
    expect(argsOf("--exe /usr/bin/python3.11 --args python3 /tmp/x.py")).toEqual(["python3", "/tmp/x.py"]);
    expect(argsOf("--exe /usr/bin/dash --args sh -c x")).toEqual(["sh", "-c", "x"]);
  });

  test.each([
    "",
    "nginx",
    "1 2",
    "1 --exe /bin/a",
    "--exe",
    "--exe nginx",
    "--args x",
    "--exe /bin/a --args",
    "--exe /bin/a --args --output json",
    "1 -- x",
    "1 --output xml",
    "1 --color",
  ])("refuses %p", (text) => {
    let refusal: unknown;
    try {
      read(text);
    } catch (error) {
      refusal = error;
    }
    const code = refusal instanceof CommanderError ? 2 : refusal instanceof CommandError && refusal.code;
    expect(code).toBe(2);
  });
});

describe("explain of a program that need not exist", () => {
  test.each([
    "process.executable.path",
    "process.executable.package",
    "process.command_args",
    "process.working_directory",
    "tree.path",
    "tree.complete",
  ])("shows %s", (name) => {
    expect(isStated(name)).toBe(true);
  });

  test.each([
    "process.pid",
    "process.unit",
    "process.executable.deleted",
    "process.tty",
    "container.id",
    "tree.known",
    "sensor.source",
  ])("does not show %s, which only a running process has", (name) => {
    expect(isStated(name)).toBe(false);
  });
});
