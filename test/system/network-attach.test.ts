// How the network programs share a host with others, and that nothing of them outlives the process. What could get in the
// way of others is tried in a control group of the test's own.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, mkdirSync, openSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { programName, programsAt } from "../../src/linux/bpf/cgroup-link.ts";
import { findUnifiedHierarchy } from "../../src/linux/cgroup-mount.ts";
import { EPERM } from "../../src/linux/libc.ts";
import { openEbpfSensor } from "../../src/sensor/ebpf/sensor.ts";
import { whyNot } from "./ebpf-watch.ts";
import { Actor, ActorFolder, NetworkWatch, noFilters } from "./network-watch.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);
const root = reason === undefined ? findUnifiedHierarchy()?.path : undefined;

const CONNECT_HOOKS = ["connect4", "connect6"] as const;

describe.skipIf(root === undefined)("the network programs", () => {
  const cgroup = join(root ?? "", `tw-test-${process.pid}`);
  let folder: ActorFolder;

  beforeAll(() => {
    mkdirSync(cgroup);
    folder = new ActorFolder();
  });

  afterAll(() => {
    folder[Symbol.dispose]();
    rmdirSync(cgroup);
  });

  const watchConnects = () => new NetworkWatch(["connect"], { networkCgroup: cgroup });

  /** A program of somebody else's at the hook connect4 of the test's control group. */
  const holder = (flags: number, what = "allow") =>
    Actor.start(folder.compile("cgroup-holder"), cgroup, `${flags}`, what);

  test("see every process of the host, and only those of a control group if one is named", async () => {
    await using inside = await Actor.start(folder.actor);
    await using outside = await Actor.start(folder.actor);
    writeFileSync(join(cgroup, "cgroup.procs"), `${inside.pid}`);
    using all = new NetworkWatch(["connect"]);
    using some = watchConnects();
    for (const actor of [inside, outside]) await actor.do("tcp 127.0.0.1 9");
    expect([all.network(inside.pid).length, all.network(outside.pid).length]).toEqual([1, 1]);
    expect([some.network(inside.pid).length, some.network(outside.pid).length]).toEqual([1, 0]);
  });

  test("run beside those of others, and beside a second copy", async () => {
    await using _other = await holder(2);
    await using actor = await Actor.start(folder.actor);
    writeFileSync(join(cgroup, "cgroup.procs"), `${actor.pid}`);
    using first = watchConnects();
    using second = watchConnects();
    await actor.do("tcp 127.0.0.1 9");
    expect([first.network(actor.pid).length, second.network(actor.pid).length]).toEqual([1, 1]);
  });

  // systemd attaches its filters with the first of these flags, and with the second to units that are not delegated.
  test.each([
    ["BPF_F_ALLOW_MULTI", 2],
    ["BPF_F_ALLOW_OVERRIDE", 1],
  ])(
    "leave a firewall of packets, as of systemd's IPAddressDeny=, in force that was attached with %s",
    async (_, flags) => {
      await using _firewall = await holder(flags, "firewall");
      await using actor = await Actor.start(folder.actor);
      writeFileSync(join(cgroup, "cgroup.procs"), `${actor.pid}`);
      const attempts = async () => [
        (await actor.do("udp 127.9.9.9 9")).errno,
        (await actor.do("udp 127.0.0.1 9")).errno,
      ];
      expect(await attempts()).toEqual([EPERM, 0]);
      {
        using watch = new NetworkWatch(["connect", "send"], { networkCgroup: cgroup });
        expect(await attempts()).toEqual([EPERM, 0]);
        expect(watch.network(actor.pid)).toMatchObject([
          { kind: "send", peerAddress: "127.9.9.9", denied: false },
          { kind: "send", peerAddress: "127.0.0.1", denied: false },
        ]);
      }
      expect(await attempts()).toEqual([EPERM, 0]);
    },
  );

  test("run beside a program at the same hook that systemd would let others override, of a control group below", async () => {
    const below = join(cgroup, "unit");
    mkdirSync(below);
    try {
      await using _other = await Actor.start(folder.compile("cgroup-holder"), below, "1", "allow");
      await using actor = await Actor.start(folder.actor);
      writeFileSync(join(below, "cgroup.procs"), `${actor.pid}`);
      using watch = watchConnects();
      await actor.do("tcp 127.0.0.1 9");
      expect(watch.network(actor.pid)).toHaveLength(1);
    } finally {
      rmdirSync(below);
    }
  });

  test("name the program that has a hook exclusively, and leave nothing attached then", async () => {
    await using _other = await holder(0);
    using sensor = openEbpfSensor({ networkCgroup: cgroup });
    expect(() => sensor.watchNetwork({ kinds: ["connect"], filters: noFilters })).toThrow(
      /another program has the hook connect4 .* exclusively: somebody_else \(id \d+\)/,
    );
    expect([...sensor.programs().keys()].filter((name) => name.startsWith("connect"))).toEqual([]);
    expect(sensor.denials).toBeUndefined();
    // It still reports programs.
    const { pid } = Bun.spawnSync(["true"]);
    const pids: number[] = [];
    sensor.drain((event) => {
      if (event.kind === "exec") pids.push(event.pid);
    });
    expect(pids).toContain(pid);
  });

  test("cost nothing until they are asked for, and are gone when nobody asks any more", () => {
    using sensor = openEbpfSensor({ networkCgroup: cgroup });
    const before = [...sensor.programs().keys()];
    const names = () => [...sensor.programs().keys()].slice(before.length);
    expect(names()).toEqual([]);
    sensor.watchNetwork({ kinds: ["send"], filters: noFilters });
    expect(names()).toEqual(["denial_end", "denial_fork", "release", "sendmsg4", "sendmsg6"]);
    sensor.watchNetwork({ kinds: [], filters: noFilters });
    expect(names()).toEqual([]);
  });

  test("end with the process, however it ends", async () => {
    const code = `
      import { openEbpfSensor } from "${import.meta.dir}/../../src/sensor/ebpf/sensor.ts";
      import { noFilters } from "${import.meta.dir}/network-watch.ts";
      const sensor = openEbpfSensor({ networkCgroup: ${JSON.stringify(cgroup)} });
      sensor.watchNetwork({ kinds: ["connect", "send", "listen"], filters: noFilters });
      console.log(JSON.stringify([...sensor.programs().values()].map(({ id }) => id)));
      setInterval(() => sensor.fd, 1000);`;
    const child = Bun.spawn([process.execPath, "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
    const { value } = await child.stdout.values().next();
    const ids: number[] = JSON.parse(new TextDecoder().decode(value ?? new Uint8Array()));
    expect(ids.map((id) => programName(id)?.startsWith("tw_"))).toEqual(ids.map(() => true));
    child.kill("SIGKILL");
    await child.exited;
    const left = () => ids.filter((id) => programName(id) !== undefined);
    // The kernel frees them after a grace period.
    for (let tries = 0; tries < 100 && left().length > 0; tries += 1) await Bun.sleep(20);
    expect(left()).toEqual([]);
    const fd = openSync(cgroup, "r");
    expect(CONNECT_HOOKS.flatMap((hook) => programsAt(hook, fd))).toEqual([]);
    closeSync(fd);
  });
});

test.skipIf(root === undefined)(
  "where only a part of the control groups is visible, it is refused with the reason",
  () => {
    const group = join(root ?? "", `tw-part-${process.pid}`);
    mkdirSync(group);
    try {
      const code = `
      import { openEbpfSensor } from "${import.meta.dir}/../../src/sensor/ebpf/sensor.ts";
      import { noFilters } from "${import.meta.dir}/network-watch.ts";
      try {
        openEbpfSensor().watchNetwork({ kinds: ["connect"], filters: noFilters });
      } catch (error) { console.log(error.message, error.hint); }`;
      // As a container has it: a cgroup namespace and mount namespace of its own, and nothing but its own part mounted.
      const script = `echo $$ > ${group}/cgroup.procs
      exec unshare --cgroup --mount sh -c 'umount --lazy ${root} && mount -t cgroup2 none ${root} && exec "$0" -e "$1"' "$0" "$1"`;
      const { stdout, stderr } = Bun.spawnSync(["sh", "-c", script, process.execPath, code]);
      expect(`${stdout}${stderr}`).toContain("only a part of the control groups is visible");
      expect(`${stdout}`).toContain("cgroup namespace");
    } finally {
      rmdirSync(group);
    }
  },
);
