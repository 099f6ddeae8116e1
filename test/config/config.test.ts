import { describe, expect, test } from "bun:test";
import { defaultConfig, parseConfig } from "../../src/config/config.ts";
import { parseAddress } from "../../src/linux/socket-address.ts";

function errors(yaml: string): string[] {
  const result = parseConfig(yaml, "config.yaml");
  return result.ok ? [] : result.errors.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

describe("a configuration file", () => {
  test("may be empty: the defaults kill no process and send nothing", () => {
    const result = parseConfig("", "config.yaml");
    expect(result).toEqual({ ok: true, config: defaultConfig() });
    expect(defaultConfig().enforcement).toBe("observe");
    expect(defaultConfig().otlp.endpoint).toBeUndefined();
  });

  test("changes what it names and leaves the rest", () => {
    const result = parseConfig("kill:\n  max_per_minute: 3\npolicies: [web]\n", "config.yaml");
    if (!result.ok) throw new Error("it is good");
    expect(result.config.kill).toEqual({ max_per_minute: 3, spare_preexisting: true });
    expect(result.config.policies).toEqual(["web"]);
    expect(result.config.metrics.max_trees).toBe(2000);
  });

  test("adds programs and packages to the base system", () => {
    const result = parseConfig("base:\n  packages: [jq]\n  paths: [/opt/site/bin/tool]\n", "config.yaml");
    if (!result.ok) throw new Error("it is good");
    expect(result.config.base).toEqual({ packages: ["jq"], paths: ["/opt/site/bin/tool"] });
    expect(defaultConfig().base).toEqual({ packages: [], paths: [] });
    expect(errors("base: { paths: [bin/tool] }\n")).toEqual(["1:17 base.paths.0: expected an absolute path"]);
    expect(errors("base: { package: [jq] }\n")).toEqual([
      "1:18 base.package: no such setting: did you mean packages?",
    ]);
  });

  test("names the recipients of mailed alarms", () => {
    const result = parseConfig("mail: { to: [root, a.b+c@mail.example.org] }\n", "config.yaml");
    if (!result.ok) throw new Error("it is good");
    expect(result.config.mail).toEqual({
      to: ["root", "a.b+c@mail.example.org"],
      every_minutes: 15,
      set_id: false,
    });
    expect(defaultConfig().mail.to).toEqual([]);
  });

  test.each([
    "-oQ/tmp",
    "a@example.org, b@example.org",
    "a@example.org\nBcc: b",
    "|/bin/sh",
    "/etc/passwd",
    ":include:/etc/shadow",
    "A <a@example.org>",
    '"a b"@example.org',
    "a@-x",
    "a@b@c",
    "",
    "@example.org",
    "\u00e9@example.org",
  ])("does not mail to %j", (address) => {
    expect(errors(`mail: { to: [${JSON.stringify(address)}] }`)).toEqual([
      "1:14 mail.to.0: expected an address such as root or alarm@example.org",
    ]);
  });

  test.each([
    ["enforcment: kill\n", ["1:13 enforcment: no such setting: did you mean enforcement?"]],
    ["events: all\nmetrics:\n  tree: off\n", ["3:9 metrics.tree: no such setting: did you mean trees?"]],
    ["enforcement: kil\n", ["1:14 enforcement: expected one of observe, kill, prevent: did you mean kill?"]],
    [
      "kill:\n  max_per_minute: many\n",
      ["2:19 kill.max_per_minute: expected a whole number from 0 to 10000"],
    ],
    ["state_directory: here\n", ["1:18 state_directory: expected an absolute path"]],
    ["metrics: { listen: nowhere }\n", ["1:20 metrics.listen: expected ADDRESS:PORT or off"]],
    ["a: [\n", ["2:1 Flow sequence in block collection must be sufficiently indented and end with a ]"]],
  ])("%j is refused with the place and the fix", (yaml, expected) => {
    expect(errors(yaml)).toEqual(expected);
  });

  test("with several errors reports all of them", () => {
    expect(errors("source: procfs\nevents: none\n").length).toBe(2);
  });
});

test.each([
  ["127.0.0.1:9501", { host: "127.0.0.1", port: 9501 }],
  ["[::1]:80", { host: "::1", port: 80 }],
  ["localhost:0", { host: "localhost", port: 0 }],
  ["::1:80", undefined],
  ["127.0.0.1", undefined],
  ["127.0.0.1:99999", undefined],
])("the address %s", (text, expected) => {
  expect(parseAddress(text)).toEqual(expected);
});
