// What a keeper keeps of the eBPF sensor goes on recording and refusing while no sensor runs, and the next one goes on with
// it; nothing is left once the keeper has let go of it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { closeDescriptor } from "../../src/linux/descriptor.ts";
import { EPERM } from "../../src/linux/libc.ts";
import type { ObjectKeeper } from "../../src/sensor/object-keeper.ts";
import { KeptDescriptors } from "../../src/supervisor/kept-objects.ts";
import { parseNetwork } from "../../src/vocabulary/ip-network.ts";
import type { ProcessKey } from "../../src/vocabulary/process-key.ts";
import { Watch, whyNot } from "./ebpf-watch.ts";
import { stat } from "./live.ts";
import { Actor, ActorFolder, NetworkWatch } from "./network-watch.ts";
import { until } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

const PORT = 18_491;
const ECONNREFUSED = 111;

/** As the supervisor keeps them: copies, which outlast the sensor's own descriptors. */
class Keeper implements ObjectKeeper, Disposable {
  readonly kept = new KeptDescriptors();
  build = "1.0";

  takeLeft() {
    const { description, descriptors } = this.kept.value;
    const copies = new KeptDescriptors();
    copies.replace({ description, descriptors });
    return copies.value;
  }

  keep(objects: Parameters<ObjectKeeper["keep"]>[0]): void {
    this.kept.replace(objects);
  }

  [Symbol.dispose](): void {
    this.kept.replace({ description: "", descriptors: [] });
  }
}

/** The descriptors of maps, programs and attachments that this process has. */
function ofBpf(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("anon_inode:bpf");
    } catch {
      return false;
    }
  }).length;
}

/** A shell, once it waits for its input: its exec may be reported after Bun.spawn has returned. */
async function ready(pid: number): Promise<ProcessKey> {
  await until(
    "the shell waits",
    () => readFileSync(`/proc/${pid}/comm`, "latin1") === "sh\n" && stat(pid)[0] === "S",
  );
  return { pid, startTicks: Number(stat(pid)[19]), startExact: true };
}

/** The arguments of the execs of true(1) that are read, one for each run. */
function runs(watch: Watch): readonly (string | undefined)[] {
  return watch
    .drain()
    .flatMap((event) =>
      event.kind === "exec" && event.facts.args?.[0] === "true" ? [event.facts.args[1]] : [],
    );
}

const run = (name: string): void => {
  Bun.spawnSync(["true", `kept-${name}`]);
};
const isOwn = (name: string | undefined): boolean => name?.startsWith("kept-") === true;

describe.skipIf(reason !== undefined)("what is kept of a sensor", () => {
  let before = 0;
  beforeAll(() => {
    before = ofBpf();
  });
  afterAll(() => expect(ofBpf()).toBe(before));

  test("records what happens until the next one reads on, each event once and in order", () => {
    using keeper = new Keeper();
    {
      using first = new Watch({ keeper });
      expect(first.sensor.isContinued).toBe(false);
      run("a");
      expect(runs(first).filter(isOwn)).toEqual(["kept-a"]);
    }
    run("b");
    run("c");
    {
      using second = new Watch({ keeper });
      expect(second.sensor.isContinued).toBe(true);
      run("d");
      expect(runs(second).filter(isOwn)).toEqual(["kept-b", "kept-c", "kept-d"]);
      expect(second.events.filter(({ kind }) => kind === "loss")).toEqual([]);
    }
    run("e");
    using third = new Watch({ keeper });
    expect(runs(third).filter(isOwn)).toEqual(["kept-e"]);
  });

  test("wakes the next one, although the one before held the last record back", async () => {
    using keeper = new Keeper();
    {
      using first = new Watch({ keeper });
      run("held");
      runs(first);
    }
    using second = new Watch({ keeper });
    runs(second);
    await Bun.sleep(200);
    runs(second);
    run("awaited");
    await Bun.sleep(300);
    expect(runs(second).filter(isOwn)).toEqual(["kept-awaited"]);
  });

  test("can be emitted again since a mark, for a forest that was saved then", () => {
    using keeper = new Keeper();
    let mark = "";
    {
      using first = new Watch({ keeper });
      run("saved");
      runs(first);
      ({ mark } = first.sensor);
      run("handled");
      runs(first);
    }
    run("new");
    using second = new Watch({ keeper });
    const again: (string | undefined)[] = [];
    second.sensor.since(mark)?.((event) => {
      if (event.kind === "exec") again.push(event.facts.args?.[1]);
    });
    expect(again.filter(isOwn)).toEqual(["kept-handled"]);
    expect(runs(second).filter(isOwn)).toEqual(["kept-new"]);
    expect(second.sensor.since("1 0 0")).toBeUndefined();
  });

  test.each([
    ["other options", "1.0", { argumentBytes: 2048 }],
    ["another ring", "1.0", { bufferBytes: 1 << 20 }],
    ["another version", "2.0", {}],
  ])("is let go of by a sensor of %s, which begins anew", (_, build, options) => {
    using keeper = new Keeper();
    {
      using first = new Watch({ keeper });
      runs(first);
    }
    run("missed");
    keeper.build = build;
    const held = ofBpf();
    using second = new Watch({ keeper, ...options });
    expect(second.sensor.isContinued).toBe(false);
    run("seen");
    expect(runs(second).filter(isOwn)).toEqual(["kept-seen"]);
    // Its own and the keeper's copies; nothing of the one before.
    expect(ofBpf()).toBe(before + 2 * (held - before));
  });

  test("is not used if it is incomplete", () => {
    using keeper = new Keeper();
    {
      using first = new Watch({ keeper });
      runs(first);
    }
    const { description, descriptors } = keeper.takeLeft();
    keeper.keep({ description: description.replace(/ map:\S+/, ""), descriptors: descriptors.slice(1) });
    descriptors.forEach(closeDescriptor);
    using second = new Watch({ keeper });
    expect(second.sensor.isContinued).toBe(false);
    run("seen");
    expect(runs(second).filter(isOwn)).toEqual(["kept-seen"]);
  });

  test("signals what a condemned process executes while no sensor runs", async () => {
    using keeper = new Keeper();
    await using child = Bun.spawn(["sh", "-c", "read _; /bin/echo lived; exit 0"], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "ignore",
    });
    {
      using first = new Watch({ keeper });
      first.sensor.carrySignals("both");
      first.sensor.condemned?.condemn(await ready(child.pid), "SIGKILL");
    }
    child.stdin.write("\n");
    child.stdin.end();
    expect(await new Response(child.stdout).text()).toBe("");
    using second = new Watch({ keeper });
    second.sensor.carrySignals("none");
    expect(second.sensor.isContinued).toBe(true);
  });

  test("holds a stopped process while no sensor runs, until the next one lets it go", async () => {
    using keeper = new Keeper();
    await using child = Bun.spawn(["sh", "-c", "read _; echo lived"], { stdin: "pipe", stdout: "pipe" });
    const { pid } = child;
    const isStopped = () => stat(pid)[0] === "T";
    const key = await ready(pid);
    {
      using first = new Watch({ keeper });
      first.sensor.carrySignals("both");
      first.sensor.condemned?.condemn(key, "SIGSTOP");
      process.kill(pid, "SIGSTOP");
      await until("it stands still", isStopped);
    }
    child.stdin.write("\n");
    child.stdin.end();
    // Whether the kernel refuses it depends on the kernel.
    const proceed = () => Bun.spawnSync(["kill", "-CONT", String(pid)], { stderr: "ignore" });
    for (let i = 0; i < 10; i += 1) proceed();
    await until("it stands still all the same", isStopped);
    using second = new Watch({ keeper });
    second.sensor.carrySignals("both");
    expect(second.sensor.condemned?.continued(key)).toBeGreaterThanOrEqual(10);
    second.sensor.condemned?.pardon(key);
    proceed();
    expect(await new Response(child.stdout).text()).toBe("lived\n");
  });

  test("refuses connections while no sensor runs, and until what the next one denies is in force", async () => {
    using folder = new ActorFolder();
    using keeper = new Keeper();
    await using actor = await Actor.start(folder.actor);
    const connect = async (): Promise<number> => (await actor.do(`tcp 127.0.0.1 ${PORT}`)).errno;
    const network = parseNetwork("127.0.0.0/8");
    if (network === undefined) throw new Error("no network");
    const ports = { mode: "except", ranges: [] } as const;
    const denied = [{ kind: "connect", transport: "tcp", network, ports }] as const;
    {
      using first = new NetworkWatch(["connect"], { keeper });
      const { denials } = first.sensor;
      denials?.setEpoch(3);
      denials?.define(1, denied);
      denials?.enforceEpoch();
      const startTicks = Number(stat(actor.pid)[19]);
      denials?.assign({ pid: actor.pid, startTicks, execId: undefined }, { set: 1, afterExec: 1 });
      expect(await connect()).toBe(EPERM);
    }
    expect(await connect()).toBe(EPERM);
    using second = new NetworkWatch(["connect"], { keeper });
    const { denials } = second.sensor;
    expect(denials?.isInherited).toBe(true);
    expect(await connect()).toBe(EPERM);
    // The one that the first sensor has not read, that of the time without one, and the last one.
    expect(second.network(actor.pid).map((event) => event.denied)).toEqual([true, true, true]);
    denials?.setEpoch(1);
    expect(await connect()).toBe(EPERM);
    denials?.enforceEpoch();
    expect(await connect()).toBe(ECONNREFUSED);
    expect(denials?.isInherited).toBe(false);
  });
});
