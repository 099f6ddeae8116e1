import { describe, expect, test } from "bun:test";
import { isStated, readRequest } from "../../src/cli/explain.ts";
import { CommandError } from "../../src/cli/output.ts";

function read(text: string) {
  return readRequest(text.split(" "));
}

describe("explain's command line", () => {
  test("is a process id", () => {
    expect(read("4711 --policy web.json").pid).toBe(4711);
    expect(read("4711 --policy web.json").policies).toEqual(["web.json"]);
  });

  test("or programs, each with arguments that may look like options", () => {
    expect(read("--exe /bin/a /bin/b --args -c --x --exe /bin/c --output json").programs).toEqual([
      { executable: "/bin/a", args: undefined },
      { executable: "/bin/b", args: ["b", "-c", "--x"] },
      { executable: "/bin/c", args: undefined },
    ]);
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
    "1 --output xml",
    "1 --color",
  ])("refuses %p", (text) => {
    expect(() => read(text)).toThrow(CommandError);
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
