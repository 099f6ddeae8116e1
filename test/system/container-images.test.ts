// A container's image as scope, and its pod. No container engine runs here: real processes in a control group named as
// containerd names it, and the runtime's state made by hand, in a mount namespace that treewarden is started in.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseBaseline } from "../../src/baseline/baseline-file.ts";
import { quietPolicy } from "./live.ts";
import { baseline, learnedRows } from "./server-watch.ts";
import { newFolder, Running, until, whyNot } from "./treewarden.ts";

const hierarchy = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].find((path) =>
  existsSync(`${path}/cgroup.procs`),
);
const reason = whyNot() ?? (hierarchy === undefined ? "there is no unified hierarchy" : undefined);
if (reason !== undefined) console.log(`skipped: ${reason}`);

const id = crypto.getRandomValues(new Uint8Array(32)).toHex();
const group = `${hierarchy}/tw-test-${process.pid}`;
const container = `${group}/cri-containerd-${id}.scope`;
const bundle = `/run/containerd/io.containerd.runtime.v2.task/k8s.io/${id}`;

beforeAll(() => {
  if (reason !== undefined) return;
  mkdirSync(group);
  mkdirSync(container);
});
afterAll(() => {
  if (reason !== undefined) return;
  rmdirSync(container);
  rmdirSync(group);
});

/** Runs a program as the container would. */
function runInside(...command: readonly string[]): void {
  const script = `echo $$ > '${container}/cgroup.procs' && exec "$@"`;
  expect(Bun.spawnSync(["sh", "-c", script, "sh", ...command]).exitCode).toBe(0);
}

test.skipIf(reason !== undefined)(
  "a container's trees are learned below its image, and records tell it once it is known",
  async () => {
    const folder = newFolder();
    const config = join(folder, "config.json");
    const image = "docker.io/library/nginx:1.25";
    const annotations = {
      "io.kubernetes.cri.image-name": image,
      "io.kubernetes.cri.sandbox-name": "shop-7d9c5-x2x9q",
      "io.kubernetes.cri.sandbox-namespace": "prod",
      "io.kubernetes.cri.container-name": "web",
    };
    writeFileSync(config, JSON.stringify({ annotations }));
    const script = `mount -t tmpfs none /run && mkdir -p '${bundle}' && cp '${config}' '${bundle}' && exec "$@"`;
    const flags = ["--policy", quietPolicy(folder)];
    const inside = ["unshare", "--mount", "sh", "-c", script, "sh"];
    await using running = await Running.start(flags, {}, folder, inside);
    expect(baseline(running, "learn").code).toBe(0);
    await running.seen(({ "event.name": name }) => name === "baseline.learning");

    // The first may come before the answer; it is learned below the image all the same.
    runInside("/usr/bin/tac", "/dev/null");
    await running.seen(({ "container.id": of }) => of === id);
    // Each is a new tree: a known one has no record.
    const names = ["lion", "bear", "wolf", "hare", "crow", "swan", "toad", "moth", "carp", "newt"];
    await until("a record with the image", async () => {
      const next = names.shift();
      if (next !== undefined) {
        copyFileSync("/bin/true", join(folder, next));
        runInside(join(folder, next));
      }
      // The examiner may have to be started first, and is last in line for the CPU.
      await Bun.sleep(500);
      return running.records.some((record) => record["container.image.name"] === "nginx");
    });
    const named = running.records.filter((record) => typeof record["container.image.name"] === "string");
    for (const record of named)
      expect(record).toMatchObject({
        "container.id": id,
        "container.image.name": "nginx",
        "k8s.pod.name": "shop-7d9c5-x2x9q",
        "k8s.namespace.name": "prod",
        "k8s.container.name": "web",
      });

    const isStored = () => learnedRows(running).some(({ path }) => path === "/usr/bin/tac");
    await until("what ran before the answer is stored", isStored);
    expect(baseline(running, "learn", "--stop").code).toBe(0);
    await running.seen(({ "event.name": name }) => name === "baseline.stopped");
    expect(baseline(running, "accept", "--anyway").code).toBe(0);
    const parsed = parseBaseline(readFileSync(join(running.folder, "state/baseline/in-force")));
    const entries = parsed.ok ? parsed.value.entries : [];
    const ofContainers = entries.filter(({ exact }) => exact.startsWith("/container"));
    expect(ofContainers.map(({ path }) => path)).toContain("/usr/bin/tac");
    expect(new Set(ofContainers.map(({ scope }) => scope))).toEqual(new Set(["container/nginx"]));
  },
  60_000,
);
