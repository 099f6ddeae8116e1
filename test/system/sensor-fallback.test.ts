// A sensor that crashes every warden that opens it. The crash is a SIGSEGV sent from outside, soon after the start.
import { describe, expect, test } from "bun:test";
import { pidOf, quietPolicy } from "./live.ts";
import { type JsonRecord, newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** The first records of each warden so far. */
function started(running: Running): readonly JsonRecord[] {
  return running.records.filter((record) => record["event.name"] === "warden.started");
}

/** Crashes three wardens in a row; gives what the fourth one says of its sensor. */
async function crashThreeTimes(running: Running): Promise<JsonRecord | undefined> {
  for (let crashes = 1; crashes <= 3; crashes += 1) {
    process.kill(pidOf(running, "warden"), "SIGSEGV");
    await until(`warden ${crashes + 1}`, () => started(running).length === crashes + 1);
  }
  return started(running)[3];
}

async function start(source: string, inside: readonly string[] = []): Promise<Running> {
  const folder = newFolder();
  return await Running.start(["--source", source, "--policy", quietPolicy(folder)], {}, folder, inside);
}

describe.skipIf(reason !== undefined)("when the warden crashes three times in a row", () => {
  test("--source auto goes on with the proc connector and says why", async () => {
    await using running = await start("auto");
    expect(started(running)[0]?.["sensor.source"]).toBe("ebpf");
    const why = "the warden crashed 3 times in a row soon after its start, last by SIGSEGV";
    expect(await crashThreeTimes(running)).toMatchObject({
      "sensor.source": "netlink",
      "sensor.reason": `no eBPF (${why})`,
    });
    expect(running.stderr).toContain(`${why}; it is started without eBPF until treewarden is restarted`);
  }, 30_000);

  test("--source ebpf stays with eBPF", async () => {
    await using running = await start("ebpf");
    expect(await crashThreeTimes(running)).toMatchObject({ "sensor.source": "ebpf" });
    expect(running.stderr).not.toContain("without eBPF");
  }, 30_000);

  test("--source auto stays with eBPF where the proc connector cannot be had", async () => {
    // The kernel answers proc connector requests in its first network namespace only.
    await using running = await start("auto", ["unshare", "--net"]);
    expect(await crashThreeTimes(running)).toMatchObject({ "sensor.source": "ebpf" });
  }, 30_000);
});
