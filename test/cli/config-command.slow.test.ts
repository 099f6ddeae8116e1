// `treewarden config` as a person or a script meets it.
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "../../src/config/config-file.ts";

const folder = mkdtempSync(join(tmpdir(), "treewarden-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

const main = new URL("../../src/main.ts", import.meta.url).pathname;

function importPidtree(text: string) {
  const file = join(folder, "pidtree.yml");
  writeFileSync(file, text);
  const { exitCode, stdout, stderr } = Bun.spawnSync(
    [process.execPath, main, "config", "import-pidtree", file],
    { env: { NO_COLOR: "1" } },
  );
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString().replaceAll(folder, "") };
}

test("import-pidtree prints a section that the configuration takes, and names what has no equivalent", () => {
  writeFileSync(join(folder, "nets.yml"), "- { network: 10.0.0.0, network_mask: 255.0.0.0 }\n");
  const { exitCode, stdout, stderr } = importPidtree(
    "tcp_connect:\n  filters: !include nets.yml\n  container_labels: [tier=web]\n",
  );
  expect([exitCode, stderr]).toEqual([
    0,
    "treewarden: tcp_connect.container_labels: has no equivalent: rules and queries use container.id and container.image.name\n",
  ]);
  const parsed = parseConfig(stdout, "config.yaml");
  expect(parsed.ok && parsed.config.network.connect.ignore_networks).toEqual(["10.0.0.0/8"]);
});

test("import-pidtree refuses a wrong file with its place, and a file that is not there", () => {
  expect(importPidtree("tcp_connect: { excludeports: [http] }\n")).toEqual({
    exitCode: 2,
    stdout: "",
    stderr:
      'treewarden: /pidtree.yml:1:31: tcp_connect.excludeports[0] must be a port or a range such as "30000-40000"\n',
  });
  rmSync(join(folder, "nets.yml"));
  const missing = importPidtree("tcp_connect:\n  filters: !include nets.yml\n");
  expect([missing.exitCode, missing.stderr]).toEqual([
    2,
    "treewarden: /pidtree.yml:2:12: cannot include nets.yml: put its content here\n",
  ]);
});
