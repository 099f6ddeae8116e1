// What the kernel lets be at a login: the first program of a session of the rescue user, or of root on the console, before user
// space has seen it; and nothing of those who only say that they are one.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync } from "node:fs";
import { whyNot } from "./ebpf-watch.ts";
import { PreventionFolder, PreventionWatch, Starter, TEST_USER } from "./prevention-watch.ts";

const reason = whyNot();
if (reason !== undefined) console.log(`skipped: ${reason}`);

/** Milliseconds for a test on a busy host. */
setDefaultTimeout(20_000);

/** A virtual console that nobody looks at. */
const CONSOLE = "/dev/tty60";

const dies = { killed: 5, ended: 0, failed: 0 };
const runs = { killed: 0, ended: 5, failed: 0 };

describe.skipIf(reason !== undefined)("a closed process with a login user", () => {
  let folder: PreventionFolder;
  let watch: PreventionWatch;
  beforeAll(() => {
    folder = new PreventionFolder();
    chmodSync(folder.folder, 0o755);
    watch = new PreventionWatch({ limitMs: 0, rescueUid: TEST_USER });
  });
  afterAll(() => {
    watch[Symbol.dispose]();
    folder[Symbol.dispose]();
  });

  /**
   * Has a closed process start a program as `user`, with this login user and perhaps a terminal: its own for as long as it is
   * open, which descriptor 7 sees to.
   */
  async function outcome(user: number, login: number, terminal?: string) {
    const asUser = `exec setpriv --reuid=${user} --regid=${user} --clear-groups "$@"`;
    const logIn = `echo ${login} > /proc/self/loginuid; ${asUser}`;
    const command = ["sh", "-c", terminal === undefined ? logIn : `exec 7<&0 0<&8; ${logIn}`, "sh"];
    const program = [...command, folder.actor, folder.output];
    const onTerminal = ["sh", "-c", 'exec 8<&0; exec setsid --ctty "$@" <"$0"', terminal ?? "", ...program];
    await using actor = await Starter.start(0, ...(terminal === undefined ? program : onTerminal));
    watch.close(actor, watch.define());
    return await actor.run("execve", 5, folder.program);
  }

  test("is let be if it is the rescue user, and runs as that user", async () => {
    expect(await outcome(TEST_USER, TEST_USER)).toEqual(runs);
  });

  test("is ended if a service has set the rescue user as its own login user, or root does so elsewhere", async () => {
    expect(await outcome(TEST_USER + 1, TEST_USER)).toEqual(dies);
    expect(await outcome(0, TEST_USER)).toEqual(dies);
    expect(await outcome(0, 0)).toEqual(dies);
    expect(await outcome(TEST_USER + 1, TEST_USER + 1)).toEqual(dies);
  });

  test.skipIf(!existsSync(CONSOLE))(
    "is let be if it is root on a console, and nobody else there",
    async () => {
      expect(await outcome(0, 0, CONSOLE)).toEqual(runs);
      expect(await outcome(TEST_USER + 1, 0, CONSOLE)).toEqual(dies);
      expect(await outcome(TEST_USER + 1, TEST_USER + 1, CONSOLE)).toEqual(dies);
    },
  );

  test("is ended if it is root on a terminal that is no console", async () => {
    const terminal = Bun.spawn(["script", "-qec", "tty; exec sleep 60", "/dev/null"], { stdout: "pipe" });
    try {
      const { value } = await terminal.stdout.values().next();
      const path = new TextDecoder().decode(value).trim();
      expect(path).toStartWith("/dev/pts/");
      expect(await outcome(0, 0, path)).toEqual(dies);
    } finally {
      terminal.kill("SIGKILL");
      await terminal.exited;
    }
  });
});
