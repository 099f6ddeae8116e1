import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EventRecord } from "../../src/report/event-record.ts";
import { createRedaction } from "../../src/report/redact.ts";
import { Journal } from "../../src/reporter/journal.ts";
import { JournalCursor } from "../../src/reporter/journal-cursor.ts";
import { alarmMails, type MailOptions } from "../../src/reporter/mail-output.ts";
import { sendMail } from "../../src/reporter/sendmail.ts";
import { until, verdict } from "./rig.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "treewarden-mail-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const HOUR = 3_600_000;

/** A journal and the mail output on it, started and ended as reporters do it one after the other. */
class Mailing implements Disposable {
  readonly mails: string[] = [];
  readonly failures: string[] = [];
  refuse: string | undefined;
  private written = 0;
  private readonly journal = new Journal(join(folder, "journal.sqlite"), {
    maxAgeMs: HOUR * 24,
    maxBytes: 1e9,
  });
  private cursor: JournalCursor | undefined;

  start(change: Partial<MailOptions> = {}): void {
    const output = alarmMails({
      to: ["root"],
      host: "web1",
      roles: () => ["web"],
      intervalMs: HOUR,
      gatherMs: 20,
      redact: createRedaction("redacted", []),
      send: async (mail) => {
        if (this.refuse !== undefined) return this.refuse;
        this.mails.push(mail);
        return undefined;
      },
      ...change,
    });
    this.cursor = new JournalCursor({
      journal: this.journal,
      output,
      redact: (record) => record,
      onFailure: (why) => this.failures.push(why),
      onLoss: () => undefined,
      lossRecord: () => ({}),
      onReportedLoss: () => undefined,
      onDrop: () => {},
      onJournalError: (error) => {
        throw error;
      },
      retryMs: 1,
    });
  }

  write(records: readonly EventRecord[]): void {
    this.journal.append({ records: [{ run: "r", generation: 1, first: this.written + 1, records }] });
    this.written += records.length;
    this.cursor?.onAppended(records);
  }

  async stop(): Promise<void> {
    await this.cursor?.end(1_000);
  }

  [Symbol.dispose](): void {
    this.cursor?.prepareEnd();
    this.journal[Symbol.dispose]();
  }
}

test("the first alarms gather into one mail, at once; the next mail waits", async () => {
  using mailing = new Mailing();
  mailing.start();
  mailing.write([verdict("u1"), verdict("u2")]);
  mailing.write([verdict("u3", { "tree.path": "/nginx/other" })]);
  await until("the mail", () => mailing.mails.length === 1);
  expect(mailing.mails[0]).toContain("3 alarms of 2 kinds");
  mailing.write([verdict("u4")]);
  await Bun.sleep(200);
  expect(mailing.mails.length).toBe(1);
});

test("the second mail has what came since the first, as counts", async () => {
  using mailing = new Mailing();
  mailing.start({ intervalMs: 500 });
  mailing.write([verdict("u0")]);
  await until("the first", () => mailing.mails.length === 1);
  for (let i = 1; i <= 40; i += 1) mailing.write([verdict(`u${i}`)]);
  await until("the second", () => mailing.mails.length === 2);
  expect(mailing.mails[1]).toContain("40 alarms\n");
  expect(mailing.mails[1]).toContain("40 times");
});

test("plain events are not mailed", async () => {
  using mailing = new Mailing();
  mailing.start();
  mailing.write([
    { ...verdict("u1"), "event.name": "sensor.loss" },
    { ...verdict("u2"), "event.name": "tree.new" },
  ]);
  await Bun.sleep(200);
  expect(mailing.mails).toEqual([]);
});

test("a secret in arguments is not mailed", async () => {
  using mailing = new Mailing();
  mailing.start();
  mailing.write([verdict("u1", { "process.command_args": ["mysql", "--password", "hunter2"] })]);
  await until("the mail", () => mailing.mails.length === 1);
  expect(mailing.mails[0]).toContain("mysql --password [redacted]");
  expect(mailing.mails[0]).not.toContain("hunter2");
});

test("a mail that could not be sent is counted, and its alarms are in the next", async () => {
  using mailing = new Mailing();
  mailing.refuse = "no route";
  mailing.start({ intervalMs: 300 });
  mailing.write([verdict("u1")]);
  await until("the failure", () => mailing.failures.length > 0);
  expect(mailing.failures[0]).toBe("no route");
  mailing.write([verdict("u2")]);
  mailing.refuse = undefined;
  await until("the mail", () => mailing.mails.length === 1);
  expect(mailing.mails[0]).toContain("2 alarms");
});

test("a reporter that is started again mails what its predecessor had not, no sooner, and nothing twice", async () => {
  using mailing = new Mailing();
  mailing.start();
  mailing.write([verdict("u1")]);
  await until("the first mail", () => mailing.mails.length === 1);
  mailing.write([verdict("u2"), verdict("u3")]);
  await mailing.stop();
  mailing.start();
  await Bun.sleep(200);
  expect(mailing.mails.length).toBe(1);
  await mailing.stop();
  mailing.start({ intervalMs: 1_000 });
  await until("the second mail", () => mailing.mails.length === 2);
  expect(mailing.mails[1]).toContain("2 alarms");
  await mailing.stop();
  mailing.start({ intervalMs: 1 });
  await Bun.sleep(200);
  expect(mailing.mails.length).toBe(2);
});

test("an alarm after a long time without any is found, whatever else was written", async () => {
  using mailing = new Mailing();
  mailing.start();
  for (let i = 0; i < 120; i += 1)
    mailing.write(
      Array.from({ length: 500 }, (_, j) => ({ ...verdict(`p${i}.${j}`), "event.name": "tree.new" })),
    );
  mailing.write([verdict("u1")]);
  await until("the mail", () => mailing.mails.length === 1);
  expect(mailing.mails[0]).toContain("1 alarm\n");
  expect(mailing.mails[0]).not.toContain("Not read");
}, 60_000);

function program(text: string): string {
  const path = join(folder, "sendmail");
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}

test("sendmail gets the mail, its two options, a small environment, and no descriptor of ours", async () => {
  const out = join(folder, "out");
  const command = program(
    `echo "$@" > ${out}.args; env > ${out}.env; ls /proc/self/fd > ${out}.fds; cat > ${out}`,
  );
  expect(await sendMail("To: root\n\nhello\n.\nmore\n", command)).toBeUndefined();
  expect(readFileSync(out, "utf8")).toBe("To: root\n\nhello\n.\nmore\n");
  expect(readFileSync(`${out}.args`, "utf8")).toBe("-t -i\n");
  const names = readFileSync(`${out}.env`, "utf8")
    .split("\n")
    .map((line) => line.split("=")[0]);
  expect(
    names.filter((name) => !["", "PATH", "LANG", "PWD", "_", "SHLVL", "OLDPWD"].includes(name ?? "")),
  ).toEqual([]);
  // 3 is ls's own, of the folder that it lists.
  expect(readFileSync(`${out}.fds`, "utf8").trim().split("\n")).toEqual(["0", "1", "2", "3"]);
});

test("a sendmail that fails, hangs, does not read or is not there says why, and keeps nobody", async () => {
  const large = `To: root\n\n${"x".repeat(1_000_000)}\n`;
  expect(await sendMail("x", program("exit 75"))).toContain("ended with 75");
  expect(await sendMail(large, program("exit 1"))).toContain("ended with 1");
  expect(await sendMail(large, program("exec sleep 30"), 300)).toContain("ended by SIGKILL");
  expect(await sendMail("x", join(folder, "none"))).toContain("none");
  expect(existsSync(join(folder, "none"))).toBe(false);
});
