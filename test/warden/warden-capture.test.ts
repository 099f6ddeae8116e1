// The warden's side of a capture, with a real pipe and no warden around it.

import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDescriptor } from "../../src/linux/descriptor.ts";
import { CaptureInbox } from "../../src/offline/receive-capture.ts";
import { createArgumentRedaction } from "../../src/report/redact.ts";
import type { ExecEvent, ProcessFacts } from "../../src/sensor/event.ts";
import { unknownFacts } from "../../src/sensor/event.ts";
import { captureRedaction } from "../../src/warden/capture-header.ts";
import { captureTexts } from "../../src/warden/capture-texts.ts";
import { Epoch } from "../../src/warden/epoch.ts";
import { WardenCapture } from "../../src/warden/warden-capture.ts";
import { header } from "../sensor/capture-arbitrary.ts";
import { readBack } from "../sensor/capture-fixture.ts";

const onlyRoot = process.geteuid?.() !== 0;
if (onlyRoot) console.log("skipped: the warden takes only a pipe that belongs to root");

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

const facts: ProcessFacts = {
  ...unknownFacts,
  executable: "/usr/bin/dash",
  device: 1,
  inode: 2,
  args: ["sh", "--password", "s3cret", "for CUST-4711"],
};
const exec: ExecEvent = { kind: "exec", source: "ebpf", time: 5e9, pid: 900, facts };
const names = JSON.stringify([]);

/** A capture into a pipe whose reader is this test. */
function rig(options: { baselines?: () => undefined } = {}) {
  const stateDirectory = mkdtempSync(join(tmpdir(), "treewarden-pipe-"));
  folders.push(stateDirectory);
  const epoch = new Epoch();
  const changes: string[] = [];
  const state = { policy: "{}" };
  const capture = new WardenCapture({
    stateDirectory,
    epoch,
    redaction: captureRedaction(createArgumentRedaction("redacted", ["CUST-[0-9]+"])),
    header: (redacted) => ({ ...header, madeBy: "warden", redacted }),
    clocks: () => ({ wallOffset: header.wallOffset, suspended: header.suspended }),
    userName: () => undefined,
    base: () => "{}",
    policy: () => state.policy,
    exclusions: () => "",
    baselines: options.baselines ?? (() => [{ name: captureTexts.baselinesInForce, text: names }]),
    forest: () => "forest",
    recordChange: (event, details) =>
      changes.push(`${event} ${String(details["capture.reason"] ?? "")}`.trim()),
  });
  const inbox = new CaptureInbox(stateDirectory);
  const parts: Uint8Array[] = [];
  const chunk = new Uint8Array(new ArrayBuffer(64 * 1024));
  /** Reads what is there; true once the writer has closed its end. */
  const read = (): boolean => {
    for (;;) {
      const got = readDescriptor(inbox.fd, chunk);
      if (got <= 0) return got === 0;
      parts.push(chunk.slice(0, got));
    }
  };
  const prepare = (): void => {
    for (let i = 0; i < 100; i++) if (capture.work(0) === "begun") return;
  };
  const finish = (): boolean => {
    for (let i = 0; i < 10_000; i++) {
      capture.work(0);
      if (read()) return true;
    }
    return false;
  };
  const content = () => readBack(new Uint8Array(Buffer.concat(parts)));
  return { capture, inbox, epoch, changes, state, prepare, finish, content, stateDirectory, read };
}

describe.skipIf(onlyRoot)("the warden's capture", () => {
  test("begins with all that decides, and has each answer before the event that was judged by it", () => {
    const { capture, inbox, prepare, finish, content, changes } = rig();
    capture.start(inbox.name, false, 0);
    prepare();
    capture.examined(facts, { package: "dash" });
    capture.event(exec);
    capture.examined(facts, { package: "dash" });
    capture.event(exec);
    capture.container("abc", null, undefined);
    capture.stop(inbox.name);
    expect(finish()).toBe(true);
    const { items, end } = content();
    expect(end).toEqual({ kind: "ended", reason: "complete" });
    const shown = items.map((item) => (item.kind === "text" ? item.name : item.kind));
    const texts = ["base", "policy", "exclusions", "baselines_in_force", "forest"];
    expect(shown).toEqual([...texts, "examined", "exec", "exec", "container"]);
    expect(changes).toEqual(["capture.started", "capture.ended complete"]);
  });

  test("has a change at its place, also one that came while it was being prepared", () => {
    const { capture, inbox, epoch, state, prepare, finish, content } = rig();
    capture.start(inbox.name, false, 0);
    capture.work(0);
    capture.work(0);
    state.policy = '{"a":1}';
    epoch.raise("policy");
    prepare();
    capture.event(exec);
    state.policy = '{"a":2}';
    epoch.raise("policy");
    capture.stop(inbox.name);
    expect(finish()).toBe(true);
    const texts = content().items.flatMap((item) =>
      item.kind === "text" && item.name === "policy" ? [item.text] : item.kind === "exec" ? ["exec"] : [],
    );
    expect(texts.slice(-3)).toEqual(['{"a":1}', "exec", '{"a":2}']);
  });

  test("ends with a word when nobody takes it, and never waits", () => {
    const { capture, inbox, prepare, finish, content, changes } = rig();
    capture.start(inbox.name, false, 0);
    prepare();
    const noise = () => Array.from({ length: 40 }, () => crypto.randomUUID());
    for (let i = 0; i < 20_000 && !changes.includes("capture.ended overrun"); i++) {
      capture.event({ ...exec, facts: { ...facts, args: noise() } });
      if (i % 100 === 0) capture.work(0);
    }
    expect(changes).toContain("capture.ended overrun");
    expect(finish()).toBe(true);
    expect(content().end).toEqual({ kind: "ended", reason: "overrun" });
    expect(capture.dueIn(0)).toBeUndefined();
  }, 60_000);

  test("ends when its reader has ended, and another one can begin", () => {
    const { capture, inbox, prepare, changes, stateDirectory } = rig();
    capture.start(inbox.name, false, 0);
    prepare();
    inbox[Symbol.dispose]();
    capture.event(exec);
    capture.work(2e9);
    expect(changes.at(-1)).toBe("capture.ended the record command has ended");
    using next = new CaptureInbox(stateDirectory);
    capture.start(next.name, false, 0);
    expect(changes.at(-1)).toBe("capture.started");
    expect(readdirSync(join(stateDirectory, "requests"))).toEqual([]);
  });

  test("is refused where what is in force cannot be read any more", () => {
    const { capture, inbox, finish, content } = rig({ baselines: () => undefined });
    capture.start(inbox.name, false, 0);
    expect(finish()).toBe(true);
    expect(content().end).toEqual({ kind: "ended", reason: "refused" });
  });

  test("is one at a time: the second command gets an empty pipe", () => {
    const { capture, inbox, prepare, stateDirectory, changes } = rig();
    capture.start(inbox.name, false, 0);
    prepare();
    using second = new CaptureInbox(stateDirectory);
    capture.start(second.name, false, 0);
    expect(readDescriptor(second.fd, new Uint8Array(new ArrayBuffer(10)))).toBe(0);
    expect(changes.at(-1)).toBe("capture.refused another capture is being made");
  });

  test("loses nothing that the pipe takes when the warden ends, and says that it did", () => {
    const { capture, inbox, prepare, content, read } = rig();
    capture.start(inbox.name, false, 0);
    prepare();
    capture.event(exec);
    capture.shutdown();
    expect(read()).toBe(true);
    expect(content().end).toEqual({ kind: "ended", reason: "stopped" });
  });

  test("that is redacted holds no secret", () => {
    const { capture, inbox, prepare, finish, content } = rig();
    capture.start(inbox.name, true, 0);
    prepare();
    capture.event(exec);
    capture.stop(inbox.name);
    expect(finish()).toBe(true);
    expect(JSON.stringify(content().items)).not.toContain("CUST-4711");
    expect(JSON.stringify(content().items)).not.toContain("s3cret");
  });

  test("takes no request for a pipe that is not there", () => {
    const { capture, stateDirectory, changes } = rig();
    capture.start("000000000000001-00000000.pipe", false, 0);
    expect(capture.dueIn(0)).toBeUndefined();
    expect(changes).toEqual([]);
    expect(existsSync(join(stateDirectory, "requests"))).toBe(true);
  });
});
