// treewarden as a service of systemd: what it reports on $NOTIFY_SOCKET (sd_notify(3)).
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pidOf } from "./live.ts";
import { NotifyReceiver } from "./notify-receiver.ts";
import { newFolder, Running, until, whyNot } from "./treewarden.ts";

const reason = whyNot();
if (reason !== undefined) console.error(`service-notifier: skipped, ${reason}`);

const addresses: readonly (readonly [string, (folder: string) => string])[] = [
  ["a path", (folder) => join(folder, "notify")],
  ["a name in the abstract namespace", (folder) => `@${folder}/notify`],
];

for (const [kind, addressIn] of addresses)
  describe.skipIf(reason !== undefined)(`with ${kind} as its address, the service manager`, () => {
    let receiver: NotifyReceiver;
    let running: Running;
    let policy = "";
    let standby = 0;

    beforeAll(async () => {
      const folder = newFolder();
      receiver = new NotifyReceiver(addressIn(folder));
      policy = join(folder, "site.json");
      writeFileSync(policy, JSON.stringify({ role: "site", rules: [] }));
      // A keep-alive message is expected every 1.5 s, so there is one every 0.5 s.
      const environment = { NOTIFY_SOCKET: addressIn(folder), WATCHDOG_USEC: "1500000" };
      running = await Running.start(["--policy", policy], environment, folder);
    });
    afterAll(async () => {
      await running[Symbol.asyncDispose]();
      receiver[Symbol.dispose]();
    });

    test("learns that the sensor is subscribed, and what is in force", async () => {
      await until("it is ready", () => receiver.has("READY=1"));
      expect(receiver.lines).toContainEqual(
        expect.stringMatching(/^STATUS=(ebpf|netlink), enforcement observe, role site, 0 rules$/),
      );
    });

    test("learns that the files were refused", async () => {
      writeFileSync(policy, "broken");
      running.signal("SIGHUP");
      await until("the status says so", () => receiver.has(/^STATUS=.*; degraded: /));
      writeFileSync(policy, JSON.stringify({ role: "site", rules: [] }));
      running.signal("SIGHUP");
      const whole = /^STATUS=\w+, enforcement observe, role site, 0 rules$/;
      await until("the status is whole again", () => {
        receiver.has("");
        return whole.test(receiver.lines.findLast((line) => line.startsWith("STATUS=")) ?? "");
      });
    });

    test("gets keep-alive messages", async () => {
      receiver.has("");
      const count = (): number => receiver.lines.filter((line) => line === "WATCHDOG=1").length;
      const before = count();
      await until("there are more", () => receiver.has("") || count() >= before + 3, 5_000);
    });

    test("learns that the warden was killed and that another one watches", async () => {
      const ready = (): number => receiver.lines.filter((line) => line === "READY=1").length;
      const before = ready();
      process.kill(pidOf(running, "warden"), "SIGKILL");
      await until("it knows", () => receiver.has(/^STATUS=the warden .*starting another$/));
      await until("another one is ready", () => receiver.has("") || ready() > before);
    });

    test("learns which process is the main one when a standby has taken over, and hears of it", async () => {
      standby = pidOf(running, "standby");
      process.kill(running.pid, "SIGKILL");
      await until("it knows", () => receiver.has(`MAINPID=${standby}`));
      receiver.lines.length = 0;
      const count = (): number => receiver.lines.filter((line) => line === "WATCHDOG=1").length;
      await until("it sends keep-alive messages", () => receiver.has("") || count() >= 2, 5_000);
    });

    test("learns that it stops", async () => {
      process.kill(standby, "SIGTERM");
      await until("it knows", () => receiver.has("STOPPING=1"));
    });
  });
