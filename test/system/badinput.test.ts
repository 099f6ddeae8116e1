// What a person gets wrong: a message that names the place and the fix, the exit code of the contract, nothing on
// standard output, nothing changed on disk.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { newFolder, binary as treewarden, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

let folder = "";
let binary = "";

beforeAll(() => {
  folder = newFolder();
  // Where a user who is not root can run it.
  binary = join(folder, "treewarden");
  cpSync(treewarden, binary);
  chmodSync(binary, 0o755);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function ask(words: readonly string[], before: readonly string[] = []): Answer {
  const run = Bun.spawnSync([...before, binary, ...words], { stdin: "ignore", timeout: 10_000 });
  return { code: run.exitCode, stdout: run.stdout.toString(), stderr: run.stderr.toString() };
}

/** Everything below the test's folder, with what shows that it was changed. */
function onDisk(): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .sort()
    .map((path) => {
      const { mode, uid, size, mtimeMs } = statSync(join(folder, path));
      return [path, mode, uid, size, mtimeMs].join(" ");
    });
}

function refused(
  words: readonly string[],
  code: number,
  says: readonly RegExp[],
  before?: readonly string[],
): void {
  const there = onDisk();
  const answer = ask(words, before);
  expect(answer.stdout).toBe("");
  for (const part of says) expect(answer.stderr).toMatch(part);
  // What a file or a word contains must not control the terminal.
  expect(answer.stderr).not.toMatch(/[^\n\P{Cc}]/u);
  expect(answer.stderr).not.toContain("fault:");
  expect(answer.stderr.length).toBeLessThan(2_000);
  expect(answer.code).toBe(code);
  expect(onDisk()).toEqual(there);
}

const run = (...more: readonly string[]): readonly string[] => [
  "run",
  "--listen",
  "off",
  "--state-dir",
  join(folder, "state"),
  ...more,
];

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe.skipIf(reason !== undefined)("wrong use ends with 2", () => {
  const wrong: readonly (readonly [string, readonly string[], readonly RegExp[]])[] = [
    ["an unknown command", ["rnu"], [/unknown command "rnu"/, /did you mean run\?/]],
    [
      "an unknown option",
      ["run", "--enforcment", "kill"],
      [/unknown option "--enforcment"/, /did you mean --enforcement\?/],
    ],
    ["an option without its value", ["run", "--source"], [/--source needs a value/]],
    [
      "a source that is none",
      ["run", "--source", "audit"],
      [/--source must be auto, ebpf or netlink, not "audit"/],
    ],
    [
      "an enforcement that is none",
      ["run", "--enforcement", "destroy"],
      [/--enforcement must be observe, kill or prevent, not "destroy"/],
    ],
    [
      "an output that is none",
      ["run", "--output", "xml"],
      [/--output must be json, pretty, alerts or none, not "xml"/],
    ],
    ["an argument too many", ["run", "now"], [/too many arguments|unexpected/]],
    ["an address without a port", ["run", "--listen", "127.0.0.1"], [/--listen 127.0.0.1/, /ADDRESS:PORT/]],
    ["a port that is none", ["run", "--listen", "127.0.0.1:99999"], [/99999/, /ADDRESS:PORT/]],
    [
      "a state directory that is not absolute",
      ["run", "--state-dir", "state"],
      [/--state-dir/, /absolute path, not "state"/],
    ],
    ["a role that does not exist", ["run", "--policy", "wbe"], [/wbe/, /did you mean "?web/]],
    [
      "a policy that does not exist",
      ["run", "--policy", "/no/such/policy.json"],
      [/\/no\/such\/policy.json/],
    ],
    [
      "a configuration that does not exist",
      ["run", "--config", "/no/such/config.yaml"],
      [/\/no\/such\/config.yaml/],
    ],
    ["no process id", ["explain", "abc"], [/pid must be a process id, not "abc"/]],
    ["a time that is none", ["events", "--since", "yesterdayish"], [/yesterdayish/, /24h/]],
    ["no journal", ["events", "--state-dir", "/no/such/place"], [/\/no\/such\/place/]],
    [
      "a policy to check that does not exist",
      ["policy", "check", "/no/such/policy.json"],
      [/\/no\/such\/policy.json/],
    ],
  ];
  for (const [what, words, says] of wrong) test(what, () => refused(words, 2, says));

  test("a state directory that is a file", () => {
    const path = file("not-a-directory", "");
    refused(["run", "--listen", "off", "--state-dir", path], 2, [
      /not-a-directory/,
      /not a directory|EEXIST/,
    ]);
  });

  test("a state directory that others may write to", () => {
    const path = join(folder, "open");
    mkdirSync(path);
    chmodSync(path, 0o777);
    refused(["run", "--listen", "off", "--state-dir", path], 2, [
      /open can be written by others/,
      /chmod go-w/,
    ]);
  });

  test("a state directory that belongs to another user", () => {
    const path = join(folder, "foreign");
    mkdirSync(path);
    chownSync(path, 65_534, 65_534);
    refused(["run", "--listen", "off", "--state-dir", path], 2, [/foreign belongs to user 65534/]);
  });
});

describe.skipIf(reason !== undefined)("a broken policy ends with 2", () => {
  const rule = (when: string): string =>
    `{\n  "role": "broken",\n  "rules": [\n    { "id": "one", "action": "alert",\n      "when": ${when} }\n  ]\n}\n`;
  const broken: readonly (readonly [string, string | Uint8Array, readonly RegExp[]])[] = [
    ["an empty file", "", [/:1:1/]],
    ["no JSON", "role: web\n", [/:1:1/]],
    ["a brace too few", '{ "role": "web",\n  "rules": [ }\n', [/:2:/]],
    ["bytes", Uint8Array.from({ length: 512 }, (_, i) => (i * 37) & 0xff), [/:1:/]],
    ["a list", "[]", [/:1:1/]],
    ["a setting that is none", '{ "role": "web",\n  "rulez": [] }', [/:2:\d+/, /rulez/, /rules/]],
    ["an operator that is none", rule('{ "undr": ["nginx"] }'), [/:5:\d+/, /undr/, /under/]],
    [
      "a variable that is none",
      rule('{ "==": [{ "var": "process.pidd" }, 1] }'),
      [/:5:\d+/, /process.pidd/, /process.pid/],
    ],
    [
      "a list that is none",
      rule('{ "in": [{ "var": "process.executable.name" }, { "list": "shels" }] }'),
      [/:5:\d+/, /shels/],
    ],
    ["an action that is none", rule("true").replace('"alert"', '"explode"'), [/:4:\d+/, /explode/, /kill/]],
    ["a text against a number", rule('{ "in": [{ "var": "process.user.id" }, ["33"]] }'), [/:5:\d+/, /33/]],
    ["an empty or", rule('{ "or": [] }'), [/:5:\d+/, /or/]],
    [
      "a regular expression that is none",
      rule('{ "matches": [{ "var": "process.executable.path" }, "(a"] }'),
      [/:5:\d+/],
    ],
    ["a prototype's name", rule('{ "var": "__proto__" }'), [/:5:\d+/, /__proto__/]],
    ["conditions without end", rule(`${'{"!":['.repeat(3_000)}true${"]}".repeat(3_000)}`), [/:5:\d+/]],
    [
      "a parent that is none",
      '{ "role": "broken",\n  "extends": ["bsae"], "rules": [] }',
      [/:2:\d+/, /bsae/, /base/],
    ],
    ["itself as a parent", '{ "role": "broken",\n  "extends": ["./broken.json"], "rules": [] }', [/broken/]],
  ];
  for (const [what, content, says] of broken) {
    test(what, () => {
      const path = file("broken.json", content);
      const there = says.map((part) =>
        part.source.startsWith(":") ? new RegExp(`broken\\.json${part.source}`) : part,
      );
      refused(run("--policy", path), 2, there);
      refused(["policy", "check", path], 2, there);
    });
  }
});

describe.skipIf(reason !== undefined)("a broken configuration ends with 2", () => {
  const broken: readonly (readonly [string, string, readonly RegExp[]])[] = [
    ["a setting that is none", "enforcment: kill\n", [/:1:/, /enforcment/, /enforcement/]],
    ["one inside a section", "journal:\n  max_day: 3\n", [/:2:|:1:/, /max_day/, /max_days/]],
    ["a value that is none", "source: dtrace\n", [/:1:/, /auto, ebpf or netlink/]],
    ["a number out of range", "kill:\n  max_per_minute: -1\n", [/:2:/, /max_per_minute/, /from 0 to 10000/]],
    ["a text for a number", "kill:\n  max_per_minute: many\n", [/:2:/, /whole number/]],
    ["a key twice", "source: ebpf\nsource: netlink\n", [/:2:/, /unique|twice|duplicate/i]],
    ["no YAML", "a: [1\nb: }\n", [/config\.yaml:\d/]],
    ["a list", "- 1\n- 2\n", [/:1:/]],
    ["a relative directory", "state_directory: state\n", [/:1:/, /absolute/]],
    ["a name that would control the terminal", "\x1b[31mfoo: 1\n", [/\\x1b\[31mfoo/]],
    ["a value that would control the terminal", 'source: "\\e]0;owned\\a"\n', [/:1:/, /\\u001b\]0;owned/]],
    ["an address that is none", "metrics:\n  listen: everywhere\n", [/:2:/, /ADDRESS:PORT/]],
    [
      "aliases that multiply",
      `a: &a [x,x,x,x,x,x,x,x,x,x]\n${"bcdefghij".replace(/./g, (c, i: number) => `${c}: &${c} [${Array(10).fill(`*${"abcdefghi"[i]}`).join(",")}]\n`)}`,
      [/config\.yaml/],
    ],
    ["a user for the reporter that does not exist", "reporter_user: no-such-user\n", [/no-such-user/]],
    ["root for the reporter", "reporter_user: root\n", [/root/]],
    [
      "a pattern of secrets that is none",
      'arguments:\n  redact: ["(a"]\n',
      [/:2:/, /regular expression/, /\(a/],
    ],
  ];
  for (const [what, content, says] of broken) {
    test(what, () => {
      const path = file("config.yaml", content);
      const there = says.map((part) =>
        part.source.startsWith(":") ? new RegExp(`config\\.yaml(?:${part.source})`) : part,
      );
      refused(run("--config", path), 2, there);
    });
  }

  test("a folder", () =>
    refused(run("--config", folder), 2, [/cannot read the configuration/, /it is a directory/]));

  test("a file that is not there", () =>
    refused(run("--config", "/nowhere.yaml"), 2, [/configuration \/nowhere\.yaml: there is no such file/]));

  test("a capture that is not there, or is a folder, or has no folder to be in", () => {
    refused(["replay", "/nowhere.twcap", "--policy", "web"], 2, [
      /capture \/nowhere\.twcap: there is no such file/,
    ]);
    refused(["replay", folder, "--policy", "web"], 2, [/cannot read the capture/, /it is a directory/]);
    refused(["record", "--out", "/nowhere/x", "--for", "1s"], 2, [
      /capture \/nowhere\/x: its folder does not exist/,
    ]);
  });

  test("a time without its unit", () => {
    const recorded = Bun.spawnSync([binary, "record", "--out", join(folder, "none"), "--for", "8"]);
    expect(recorded.exitCode).toBe(2);
    expect(recorded.stderr.toString()).toContain("--for must be a duration such as 90s");
  });
});

describe.skipIf(reason !== undefined)("what the system does not allow ends with 3", () => {
  const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

  test("run and trace, as a user who is not root", () => {
    refused(run(), 3, [/only root/, /sudo/], asNobody);
    refused(["trace"], 3, [/only root/, /sudo/], asNobody);
  });

  test("run, as root without the capabilities", () => {
    const bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    for (const source of ["netlink", "ebpf"]) {
      const answer = ask(
        ["run", "--source", source, "--listen", "off", "--state-dir", join(folder, "bare")],
        bare,
      );
      expect(answer.stdout).toBe("");
      expect(answer.stderr).not.toContain("fault:");
      expect(answer.code).toBe(3);
      rmSync(join(folder, "bare"), { recursive: true, force: true });
    }
  });

  test("a state directory where none can be made", () => {
    refused(["run", "--listen", "off", "--state-dir", "/proc/treewarden"], 3, [
      /state directory \/proc\/treewarden/,
    ]);
  });

  test("a state directory below one that the reporter's user may not enter", () => {
    const closed = join(folder, "closed");
    mkdirSync(closed, { mode: 0o700 });
    const answer = ask(["run", "--listen", "off", "--state-dir", join(closed, "state")]);
    expect(answer.stdout).toBe("");
    expect(answer.stderr).toMatch(/chmod o\+x/);
    expect(answer.code).toBe(3);
    rmSync(closed, { recursive: true });
  });
});

describe.skipIf(reason !== undefined)("the answer no ends with 1", () => {
  test("a process that does not exist", () => refused(["explain", "4194304"], 1, [/no process 4194304/]));

  test("a policy whose test fails", () => {
    const test = { name: "never", lineage: ["/usr/bin/true"], expect: { action: "kill", rule: "one" } };
    const path = file(
      "failing.json",
      JSON.stringify({ role: "failing", rules: [], default: "allow", tests: [test] }),
    );
    const answer = ask(["policy", "test", path]);
    expect(answer.code).toBe(1);
    expect(answer.stdout + answer.stderr).toContain("never");
  });
});
