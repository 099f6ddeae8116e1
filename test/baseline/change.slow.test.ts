// `treewarden change`: windows as root's command writes them, and what was collected on its way to other hosts.
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseBaseline } from "../../src/baseline/baseline-file.ts";
import { parseExclusions } from "../../src/baseline/exclusions.ts";
import { startLearning, stopLearning } from "../../src/baseline/learning-state.ts";
import { keygen } from "../../src/cli/policy/sign.ts";
import { bootId } from "../../src/linux/process.ts";
import { globCompilers } from "../../src/policy/glob.ts";
import { entry, NOON, RUN } from "./samples.ts";
import { origin, StateDirectory, sealed } from "./state-directory.ts";

// Each command is a process of its own, and several are needed for most of these.
setDefaultTimeout(30_000);

let host: StateDirectory;
beforeEach(() => {
  host = new StateDirectory();
  host.run(["import", host.file("web1", entry("/init"))]);
});
afterEach(() => host[Symbol.dispose]());

const copy = entry("/ansible-playbook/rsync");
const restart = entry("/ansible-playbook/systemctl");

const begin = (...flags: readonly string[]) => host.change("begin", "--for", "30m", ...flags);

function windows() {
  const result = parseExclusions(readFileSync(join(host.path, "baseline/exclusions"), "utf8"), globCompilers);
  return result.ok ? result.value : result.errors;
}

describe("change begin", () => {
  test("writes a window for each program, which ends by the time of day and by the host's own clock", () => {
    const { code, err } = begin("--id", "CHG-7", "--under", "ansible-playbook", "--under", "/opt/deploy/**");
    expect([code, err]).toEqual([0, expect.stringContaining("change CHG-7 is open until")]);
    const now = Math.floor(Date.now() / 1000);
    expect(windows()).toMatchObject([
      { change: { id: "CHG-7", under: "ansible-playbook" }, bootEnd: { boot: bootId() } },
      { change: { id: "CHG-7", under: "/opt/deploy/**" }, user: undefined },
    ]);
    for (const window of windows()) {
      const left = "until" in window && window.until !== undefined ? window.until - now : Number.NaN;
      expect(left).toBeGreaterThan(1_790);
      expect(left).toBeLessThanOrEqual(1_800);
    }
  });

  test("again replaces the windows of the change, and leaves others and exclusions alone", () => {
    host.run(["exclude", "add", "/sshd/**", "--reason", "moving"]);
    begin("--id", "CHG-7", "--under", "ansible-playbook");
    begin("--id", "CHG-8", "--under", "chef-client");
    begin("--id", "CHG-7", "--under", "puppet", "--user", "1000");
    expect(windows()).toMatchObject([
      { tree: "/sshd/**", change: undefined },
      { change: { id: "CHG-8" } },
      { change: { id: "CHG-7", under: "puppet" }, user: 1000 },
    ]);
  });

  test("says what must be given where a window would be too wide, too long or without an effect", () => {
    const refused = (...flags: readonly string[]): readonly [number, string] => {
      const { code, err } = host.change("begin", ...flags);
      return [code, err];
    };
    const known = ["--id", "a", "--for", "1h"];
    expect(refused(...known, "--under", "base")).toEqual([2, expect.stringContaining('the label "base"')]);
    expect(refused(...known, "--under", "/**")).toEqual([
      2,
      expect.stringContaining("it matches every program"),
    ]);
    expect(refused(...known, "--under", "bin/x")).toEqual([
      2,
      expect.stringContaining("must begin with a slash"),
    ]);
    expect(refused("--id", "a b", "--for", "1h", "--under", "x")[1]).toContain("letters, digits");
    expect(refused("--id", "packages", "--for", "1h", "--under", "x")[1]).toContain("package managers");
    expect(refused("--id", "a", "--for", "2d", "--under", "x")[1]).toContain("longer than a day");
    using empty = new StateDirectory();
    expect(empty.change("begin", ...known, "--under", "x")).toMatchObject({
      code: 1,
      err: expect.stringContaining("no baseline is in force"),
    });
    expect(readdirSync(join(host.path, "baseline"))).not.toContain("exclusions");
  });
});

test("change end removes its windows, and says so where there are none", () => {
  begin("--id", "CHG-7", "--under", "ansible-playbook");
  begin("--id", "CHG-8", "--under", "chef-client");
  expect(host.change("end", "--id", "CHG-7").code).toBe(0);
  expect(windows()).toMatchObject([{ change: { id: "CHG-8" } }]);
  expect(host.change("end", "--id", "CHG-7").code).toBe(1);
});

test("change list shows open windows and what was collected, and how much of it is not in force", () => {
  host.run(["import", host.file("web1", copy)]);
  host.collectedFor("CHG-7", copy, restart);
  begin("--id", "CHG-8", "--under", "chef-client");
  const { out } = host.change("list");
  expect(out).toContain("CHG-7  ended  2 collected, 1 of them not in force\n");
  expect(out).toMatch(/^CHG-8 {2}open until .*, below chef-client {2}0 collected/m);
  const [line = ""] = host.change("list", "--output", "json").out.split("\n");
  expect(JSON.parse(line)).toMatchObject({ "change.id": "CHG-7", "change.open": false, "baseline.trees": 2 });
});

describe("what was collected for a change", () => {
  test("is accepted on this host by its id, and nothing else is", () => {
    host.collectedFor("CHG-7", copy);
    host.collected(entry("/nginx/implant"));
    const { code, out } = host.change("accept", "--id", "CHG-7", "--output", "json");
    expect([code, out]).toEqual([0, expect.stringContaining('"tree.habit":"/ansible-playbook/rsync"')]);
    expect(host.inForce()).toEqual(["/ansible-playbook/rsync", "/init"]);
    expect(host.change("accept", "--id", "CHG-8")).toMatchObject({
      code: 1,
      err: expect.stringContaining("nothing was collected for change CHG-8"),
    });
  });

  test("is added on other hosts to what is in force there", () => {
    host.collectedFor("CHG-7", copy, restart);
    const file = join(host.path, "chg-7.baseline");
    expect(host.change("export", "--id", "CHG-7", "--out", file).code).toBe(0);
    const exported = parseBaseline(readFileSync(file));
    expect(exported.ok && exported.value.entries.map(({ exact }) => exact)).toEqual([
      "/ansible-playbook/rsync",
      "/ansible-playbook/systemctl",
    ]);
    using other = new StateDirectory();
    expect(other.change("accept", file)).toMatchObject({
      code: 1,
      err: expect.stringContaining("no baseline is in force"),
    });
    other.run(["import", other.file("web2", entry("/own"))]);
    expect(other.change("accept", file).code).toBe(0);
    expect(other.inForce()).toEqual(["/ansible-playbook/rsync", "/ansible-playbook/systemctl", "/own"]);
  });

  test("is never taken from a row that the reporter has made up", () => {
    host.collectedFor("CHG-7", copy);
    // The warden's own row of another change, under the id of this one.
    host.collectedRows([{ ...sealed(entry("/nginx/implant"), origin, "CHG-6"), change: "CHG-7" }]);
    expect(host.change("accept", "--id", "CHG-7")).toMatchObject({
      code: 1,
      err: expect.stringContaining("1 row of the journal without the warden's seal"),
    });
    expect(host.inForce()).toEqual(["/init"]);
  });

  test("with policy_keys is accepted only as it was signed", () => {
    host.collectedFor("CHG-7", copy);
    const path = (name: string): string => join(host.path, name);
    keygen(path("release"));
    keygen(path("other"));
    const config = path("config.yaml");
    writeFileSync(config, `policy_keys: [${path("release.pub")}]\n`);
    const accept = (file: string) => host.change("accept", file, "--config", config);
    const file = path("chg-7.baseline");
    host.change("export", "--id", "CHG-7", "--out", file);
    expect(accept(file)).toMatchObject({ code: 1, err: expect.stringContaining("not accepted") });
    host.change("export", "--id", "CHG-7", "--out", file, "--sign", path("other.key"));
    expect(accept(file)).toMatchObject({
      code: 1,
      err: expect.stringContaining("not made with a key that is trusted"),
    });
    host.change("export", "--id", "CHG-7", "--out", file, "--sign", path("release.key"));
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.replaceAll("rsync", "implant"));
    expect(accept(file)).toMatchObject({
      code: 1,
      err: expect.stringContaining("not the signature of this file"),
    });
    writeFileSync(file, text);
    expect(host.inForce()).toEqual(["/init"]);
    expect(accept(file).code).toBe(0);
    expect(host.inForce()).toEqual(["/ansible-playbook/rsync", "/init"]);
  });

  test("is not accepted with a learning run", () => {
    host.collectedFor("CHG-7", copy);
    host.learning({ ...stopLearning(startLearning(NOON, null, RUN), NOON + 60), trees: 1 });
    expect(host.run(["accept"])).toMatchObject({
      code: 1,
      err: expect.stringContaining("no tree was learned"),
    });
    expect(host.inForce()).toEqual(["/init"]);
  });
});
