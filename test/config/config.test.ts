import { describe, expect, test } from "bun:test";
import { defaultConfig } from "../../src/config/config.ts";
import { parseConfig, parseDespiteOutputErrors } from "../../src/config/config-file.ts";
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
    expect(errors("base: { paths: [bin/tool] }\n")).toEqual([
      '1:17 base.paths[0] must be an absolute path, not "bin/tool"',
    ]);
    expect(errors("base: { package: [jq] }\n")).toEqual([
      "1:18 base.package: no such setting: did you mean packages?",
    ]);
  });

  test("names the environment variables that rules may name", () => {
    const result = parseConfig("environment: { read: [LD_PRELOAD, PGOPTIONS] }\n", "config.yaml");
    if (!result.ok) throw new Error("it is good");
    expect(result.config.environment.read).toEqual(["LD_PRELOAD", "PGOPTIONS"]);
    expect(defaultConfig().environment.read).toContain("LD_AUDIT");
    expect(errors("environment: { read: [A=B] }\n")).toEqual([
      '1:23 environment.read[0] must be the name of an environment variable, not "A=B"',
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
      `1:14 mail.to[0] must be an address such as root or alarm@example.org, not ${JSON.stringify(address)}`,
    ]);
  });

  test.each([
    ["enforcment: kill\n", ["1:13 enforcment: no such setting: did you mean enforcement?"]],
    ["events: all\nmetrics:\n  tree: off\n", ["3:9 metrics.tree: no such setting: did you mean trees?"]],
    [
      "enforcement: kil\n",
      ['1:14 enforcement must be observe, kill or prevent, not "kil": did you mean kill?'],
    ],
    [
      "kill:\n  max_per_minute: many\n",
      ['2:19 kill.max_per_minute must be a whole number from 0 to 10000, not "many"'],
    ],
    ["state_directory: here\n", ['1:18 state_directory must be an absolute path, not "here"']],
    ["metrics: { listen: nowhere }\n", ['1:20 metrics.listen must be ADDRESS:PORT or off, not "nowhere"']],
    [
      "kill: { max_per_minute: 20000.5 }\n",
      ["1:25 kill.max_per_minute must be a whole number from 0 to 10000, not 20000.5"],
    ],
    ["armed: some\n", ['1:8 armed must be all, or a list of patterns ROLE/RULE, not "some"']],
    ["armed: [web/*, shell]\n", ['1:16 armed[1] must be ROLE/RULE or all, not "shell"']],
    ["pause: { max: 4 }\n", ["1:15 pause.max must be a duration such as 4h, not 4"]],
    ["pause: { max: 8d }\n", ['1:15 pause.max must be a duration from 1s to 7d, such as 4h, not "8d"']],
    ["kill: { spare_preexisting: 1 }\n", ["1:28 kill.spare_preexisting must be true or false, not 1"]],
    ["kill:\n", ["1:6 kill must be a section of settings, not null"]],
    ["5\n", ["1:1 the file must be a section of settings, not a number"]],
    ["policies: base\n", ['1:11 policies must be a list of roles or files, not "base"']],
    ["reporter_user: 5\n", ["1:16 reporter_user must be text, not 5"]],
    ["rescue_user: 'a b'\n", ['1:14 rescue_user must be a user\'s name or id, not "a b"']],
    [
      "prevent:\n  max_per_minute: 0\n",
      ["2:19 prevent.max_per_minute must be a whole number from 1 to 10000, not 0"],
    ],
    ["reporter_user: ''\n", ["1:16 reporter_user must not be empty"]],
    [
      "arguments: { redact: ['('] }\n",
      ["1:23 arguments.redact[0] must be a regular expression: error parsing regexp: missing closing ): `(`"],
    ],
    [
      "network: { watch: on }\n",
      ['1:19 network.watch must be rules, off, or a list of connect, send or listen, not "on"'],
    ],
    ["network: { conect: {} }\n", ["1:20 network.conect: no such setting: did you mean connect?"]],
    [
      "network:\n  connect:\n    ignore_ports: [70000]\n",
      ['3:20 network.connect.ignore_ports[0] must be a port or a range such as "30000-40000", not 70000'],
    ],
    [
      "network: { send: { ignore_networks: [10.0.0.0/33] } }\n",
      [
        '1:38 network.send.ignore_networks[0] must be a network such as 10.0.0.0/8 or fd00::/8, not "10.0.0.0/33"',
      ],
    ],
    [
      "network: { send: { ignore_networks: [{ networks: [10.0.0.0/8], except_port: [1] }] } }\n",
      ["1:77 network.send.ignore_networks[0].except_port: no such setting: did you mean except_ports?"],
    ],
    [
      "network: { send: { ignore_networks: [{ networks: [10.0.0.0/8], ports: [1], except_ports: [2] }] } }\n",
      ["1:38 network.send.ignore_networks[0] must have ports or except_ports, not both"],
    ],
    [
      "network: { send: { ignore_networks: [10.0.0.0/8, 10.1.0.0/8] } }\n",
      ["1:37 network.send.ignore_networks must have each network once, not 10.1.0.0/8 twice"],
    ],
    [
      "network: { send: { ignore_networks: [{ networks: [10.0.0.0/8], ports: [1, 3, 5, 7, 9, 11, 13, 15, 17] }] } }\n",
      ["1:71 network.send.ignore_networks[0].ports must have at most 8 ranges of ports"],
    ],
    [
      "network: { listen: { snapshot_interval: 1s } }\n",
      ['1:41 network.listen.snapshot_interval must be a duration from 1m to 30d, such as 12h, not "1s"'],
    ],
    ["a: [\n", ["2:1 Flow sequence in block collection must be sufficiently indented and end with a ]"]],
  ])("%j is refused with the place and the fix", (yaml, expected) => {
    expect(errors(yaml)).toEqual(expected);
  });

  test("with a password in the wrong place does not show it", () => {
    expect(errors("otlp: { endpoint: 'http://user:secret@' }\n")).toEqual([
      '1:19 otlp.endpoint must be a URL such as http://127.0.0.1:4318, not "...@"',
    ]);
    expect(errors("otlp: { headers: { token: [secret] } }\n")).toEqual([
      "1:27 otlp.headers.token must be text, not a list",
    ]);
    expect(errors("otlp: { headers: secret }\n").join()).not.toContain("secret");
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

describe("an error in the section of an output", () => {
  const despite = (yaml: string) => parseDespiteOutputErrors(yaml, "config.yaml");

  test("leaves the rest of the file as it is, and the output as without the section", () => {
    const found = despite("kill: { max_per_minute: 3 }\notlp: { endpoint: banana }\nmail: { too: [root] }\n");
    expect(found?.config.kill.max_per_minute).toBe(3);
    expect(found?.config.otlp).toEqual(defaultConfig().otlp);
    expect(found?.config.mail).toEqual(defaultConfig().mail);
    expect(found?.errors.map(({ section, line }) => [section, line]).toSorted()).toEqual([
      ["mail", 3],
      ["otlp", 2],
    ]);
  });

  test("is no matter where there are others, or none", () => {
    expect(despite("enforcement: never\notlp: { endpoint: banana }\n")).toBeUndefined();
    expect(despite("otlp: { endpoint: 'http://collector:4318' }\n")).toBeUndefined();
    expect(despite("otlp: {\n")).toBeUndefined();
  });
});
