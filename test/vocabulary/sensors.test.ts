import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { sensorTable } from "../../src/cli/doctor/sensors.ts";
import { parseConfig } from "../../src/config/config-file.ts";
import { instruments } from "../../src/report/instruments.ts";
import { storyOf } from "../../src/sensor/acct/story.ts";
import {
  isSensorSource,
  liveSources,
  openableSources,
  sensorSources,
  sensors,
  sourceChoices,
} from "../../src/vocabulary/sensors.ts";
import { variables } from "../../src/vocabulary/variables.ts";
import { unknownVariables } from "../sensor/known-variables.ts";

test("auto prefers the source that names every program", () => {
  expect(sourceChoices).toEqual(["auto", "ebpf", "netlink"]);
  expect(openableSources).toEqual(["ebpf", "netlink", "acct"]);
});

test("the configuration takes what run takes, and nothing that is not live", () => {
  for (const source of sourceChoices) expect(parseConfig(`source: ${source}`, "f").ok).toBe(true);
  expect(parseConfig("source: acct", "f").ok).toBe(false);
});

test("losses are counted for every live source from the start", () => {
  expect(instruments.eventsLost.closed[0]).toEqual(liveSources);
});

test("the meaning of sensor.source names every source", () => {
  for (const source of sensorSources) expect(variables["sensor.source"].meaning).toContain(source);
  expect(isSensorSource("toString")).toBe(false);
});

test("process accounting knows what its row says, and nothing else", () => {
  const life = { forkedOnly: false, status: 0, realUid: 0, realGid: 0, tty: 0, btime: 100 };
  const events = storyOf(
    [
      { ...life, pid: 11, ppid: 10, comm: "child", seconds: 10 },
      { ...life, pid: 10, ppid: 1, comm: "parent", seconds: 30 },
    ],
    { wallOffset: 0, suspended: 0 },
  );
  const unknown: ReadonlySet<string> = unknownVariables(events, 11);
  const claimed: ReadonlySet<string> = new Set(sensors.acct.neverKnown);
  expect([...unknown].filter((name) => !claimed.has(name))).toEqual([]);
  const examined = [
    "process.executable.package",
    "process.executable.unpackaged",
    "process.executable.modified",
    "process.runnable.changed",
  ];
  const pod = ["k8s.pod.name", "k8s.namespace.name", "k8s.container.name"];
  const elsewhere = [...examined, "process.session_id", "container.image.name", ...pod];
  expect([...claimed].filter((name) => !unknown.has(name)).toSorted()).toEqual(elsewhere.toSorted());
});

const repository = join(import.meta.dir, "../..");

test("the systemd unit leaves the capabilities that every live source needs", () => {
  const unit = readFileSync(join(repository, "packaging/systemd/treewarden.service"), "utf8");
  const bounding = /^CapabilityBoundingSet=(.*)$/m.exec(unit)?.[1]?.split(" ") ?? [];
  for (const source of liveSources)
    expect(bounding).toEqual(expect.arrayContaining([...sensors[source].capabilities]));
});

test("the documentation shows the table as doctor prints it", () => {
  const reports = openableSources.map((source) => ({
    source,
    description: sensors[source],
    available: liveSources.some((live) => live === source) ? true : undefined,
    detail: "",
  }));
  const table = sensorTable(reports).replace(/^/gm, "    ").trimEnd();
  expect(readFileSync(join(repository, "docs/sensors.md"), "utf8")).toContain(table);
});

test("every live source goes through the suite of cases that all sensors pass", () => {
  const folder = join(repository, "test/system");
  const tests = [...new Bun.Glob("*.test.ts").scanSync(folder)].map((name) =>
    readFileSync(join(folder, name), "utf8"),
  );
  for (const source of liveSources)
    expect(tests.some((text) => text.includes(`everySensor("${source}"`))).toBe(true);
});
