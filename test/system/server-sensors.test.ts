import { describe, expect, test } from "bun:test";
import { rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binary, type JsonRecord, newFolder, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const ROUNDS = 40;

/** Every exec is an alert, so that replay shows each; and rules that ask for what sensors read in different ways. */
function policy(folder: string): string {
  const path = join(folder, "policy.json");
  const rule = (id: string, when: object): object => ({ id, when, action: "alert" });
  writeFileSync(
    path,
    JSON.stringify({
      role: "sensors",
      extends: ["base", "web", "bastion"],
      rules: [
        rule("argument", { in: ["one", { var: "process.command_args" }] }),
        rule("script", { ends_with: [{ var: "process.script.path" }, ".sh"] }),
        rule("below", { under: ["life.sh"] }),
        rule("deep", { ">": [{ var: "tree.depth" }, 3] }),
        rule("root", { "==": [{ var: "process.user.id" }, 0] }),
        rule("nobody", { "==": [{ var: "process.real_user.id" }, 65_534] }),
        rule("elsewhere", { "==": [{ var: "process.working_directory" }, "/usr"] }),
      ],
      default: "alert",
    }),
  );
  return path;
}

function replay(
  capture: string,
  rules: string,
): { readonly text: string; readonly verdicts: readonly JsonRecord[] } {
  const { stdout, stderr, exitCode } = Bun.spawnSync([
    binary,
    "replay",
    capture,
    "--policy",
    rules,
    "--output",
    "json",
  ]);
  if (exitCode !== 0) throw new Error(stderr.toString());
  const text = stdout.toString();
  return {
    text,
    verdicts: text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line)),
  };
}

describe.skipIf(reason !== undefined)("one run, recorded by both sensors at once", () => {
  const folder = newFolder();

  test("is judged alike for every program that both could name, and the same capture always alike", async () => {
    const script = join(folder, "life.sh");
    // Short-lived programs by the dozen, a user changed, a directory, a program that execs another.
    const lines = [
      "true one",
      "(cd /usr && sleep 0.01)",
      "setpriv --reuid=65534 --regid=65534 --clear-groups sleep 0.01",
      'sh -c "exec sleep 0.01"',
      "env A=b sleep 0.01",
    ];
    writeFileSync(script, `#!/bin/sh\n${lines.join("\n")}\n`, { mode: 0o755 });
    const captures = ["ebpf", "netlink"].map((source) => join(folder, source));
    const recorders = ["ebpf", "netlink"].map((source) =>
      Bun.spawn([binary, "record", "--source", source, "--out", join(folder, source)], {
        stdout: "ignore",
        stderr: "ignore",
      }),
    );
    try {
      await until("both record", () =>
        captures.every((path) => statSync(path, { throwIfNoEntry: false }) !== undefined),
      );
      await Bun.sleep(500);
      for (let round = 0; round < ROUNDS; round += 1) Bun.spawnSync([script]);
      await Bun.sleep(500);
    } finally {
      for (const recorder of recorders) recorder.kill("SIGTERM");
      for (const recorder of recorders) await recorder.exited;
    }

    const rules = policy(folder);
    const [ebpf, netlink] = captures.map((path) => replay(path, rules));
    expect(ebpf?.text).toBe(replay(captures[0] ?? "", rules).text);
    expect(netlink?.text).toBe(replay(captures[1] ?? "", rules).text);

    const keyed = (verdicts: readonly JsonRecord[]): Map<string, JsonRecord> => {
      const map = new Map<string, JsonRecord>();
      for (const one of verdicts) {
        const isOfLifeScript = String(one["tree.exact"]).includes("/life.sh");
        if (isOfLifeScript && isNamed(one))
          map.set(`${one["process.pid"]} ${one["process.executable.path"]}`, one);
      }
      return map;
    };
    const ours = keyed(ebpf?.verdicts ?? []);
    const others = keyed(netlink?.verdicts ?? []);
    const both = [...ours.keys()].filter((key) => others.has(key));
    console.log(`programs named by ebpf ${ours.size}, by netlink ${others.size}, by both ${both.length}`);
    expect(both.length).toBeGreaterThan(ROUNDS);
    const judged = (one: JsonRecord | undefined): unknown[] => [
      one?.["tree.exact"],
      one?.["tree.path"],
      one?.["policy.action"],
      one?.["security_rule.name"],
      one?.["policy.matched_rules"],
    ];
    for (const key of both) expect(judged(others.get(key))).toEqual(judged(ours.get(key)));
    rmSync(folder, { recursive: true, force: true });
  }, 60_000);
});

/** Executable, arguments, ids and tree are all known: the exec is attributed. */
function isNamed(record: JsonRecord): boolean {
  const names = [
    "process.executable.path",
    "process.command_args",
    "process.user.id",
    "process.working_directory",
  ];
  return names.every((name) => record[name] !== undefined && record[name] !== null);
}
