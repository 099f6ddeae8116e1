// The identities of files that closed processes may execute, and from when on another file may be there.
import { expect, test } from "bun:test";
import type { FileIdentity, Prevention } from "../../src/sensor/prevention/closed-set.ts";
import { IdentifiedFiles } from "../../src/warden/identified-files.ts";

const NOON = 1_800_000_000_000_000_000n;
const SECOND = 1_000_000_000n;

function identityOf(secondsAgo: bigint): FileIdentity {
  const changed = NOON / SECOND - secondsAgo;
  return { device: 1, inode: 2n, generation: 3, changed, changedNanoseconds: 0, filesystem: 0xef53 };
}

function start() {
  const asked: string[][] = [];
  const clock = { now: NOON };
  const files = new IdentifiedFiles({ ask: (paths) => asked.push([...paths]), now: () => clock.now });
  return { asked, clock, files };
}

const kernelWith = (identities: ReadonlyMap<number, FileIdentity>): Pick<Prevention, "identify"> => ({
  identify: () => identities,
});

test("a path is asked for once, and then known by what the kernel reads of its file", () => {
  const { asked, files } = start();
  expect(files.get("/usr/bin/gzip")).toBeUndefined();
  files.get("/usr/bin/gzip");
  files.askWanted();
  files.get("/usr/bin/gzip");
  files.askWanted();
  expect(asked).toEqual([["/usr/bin/gzip"]]);
  const identity = identityOf(3_600n);
  const isLast = files.onOpened(
    1,
    [{ path: "/usr/bin/gzip", is: "file", fd: 7 }],
    kernelWith(new Map([[7, identity]])),
  );
  expect(isLast).toBe(true);
  expect(files.get("/usr/bin/gzip")).toEqual({ is: identity, since: NOON });
});

test("a file of another user, or on a file system without identities, is unsafe", () => {
  const { files } = start();
  for (const path of ["/home/a/tool", "/mnt/nfs/tool"]) files.get(path);
  files.askWanted();
  const opened = [
    { path: "/home/a/tool", is: "unsafe" },
    { path: "/mnt/nfs/tool", is: "file", fd: 7 },
  ] as const;
  files.onOpened(1, opened, kernelWith(new Map()));
  expect(files.get("/home/a/tool")?.is).toBe("unsafe");
  expect(files.get("/mnt/nfs/tool")?.is).toBe("unsafe");
});

test("what was forgotten while the question was open is asked for again", () => {
  const { asked, files } = start();
  files.get("/usr/bin/gzip");
  files.askWanted();
  files.forget();
  files.onOpened(1, [{ path: "/usr/bin/gzip", is: "none" }], undefined);
  expect(files.get("/usr/bin/gzip")).toBeUndefined();
  files.askWanted();
  expect(asked.length).toBe(2);
});

test("of two answers for a path the one to the later question counts, in whose time its file was opened", () => {
  const { clock, files } = start();
  files.get("/usr/bin/gzip");
  files.askWanted();
  files.forget();
  clock.now = NOON + SECOND;
  files.get("/usr/bin/gzip");
  files.askWanted();
  const answer = (identity: FileIdentity): boolean =>
    files.onOpened(1, [{ path: "/usr/bin/gzip", is: "file", fd: 7 }], kernelWith(new Map([[7, identity]])));
  expect(answer(identityOf(60n))).toBe(false);
  expect(files.get("/usr/bin/gzip")).toBeUndefined();
  expect(answer(identityOf(30n))).toBe(true);
  expect(files.get("/usr/bin/gzip")).toEqual({ is: identityOf(30n), since: NOON + SECOND });
});

test("a mount makes what is at or below it unknown, and nothing else", () => {
  const { asked, files } = start();
  const paths = ["/opt/shop/tool", "/opt/shop-2/tool", "/usr/bin/gzip"];
  for (const path of paths) files.get(path);
  files.askWanted();
  files.onOpened(
    1,
    paths.map((path) => ({ path, is: "none" })),
    undefined,
  );
  const known = () => paths.filter((path) => files.get(path) !== undefined);
  expect(files.forgetBelow(new Set(["/home/a/mnt", "/opt/shop/tool/x", "/op"]))).toBe(false);
  expect(known()).toEqual(paths);
  expect(files.forgetBelow(new Set(["/opt/shop"]))).toBe(true);
  expect(known()).toEqual(["/opt/shop-2/tool", "/usr/bin/gzip"]);
  expect(files.forgetBelow(new Set(["/usr/bin/gzip"]))).toBe(true);
  expect(files.forgetBelow(new Set(["/"]))).toBe(true);
  expect(known()).toEqual([]);
  files.askWanted();
  expect(asked.length).toBe(2);
});

test("while packages change, what is known is gone on with until the files are identified again", () => {
  const { clock, files } = start();
  const identify = (secondsAgo: bigint): void => {
    files.askWanted();
    const identities = new Map([[7, identityOf(secondsAgo)]]);
    files.onOpened(1, [{ path: "/usr/bin/gzip", is: "file", fd: 7 }], kernelWith(identities));
  };
  files.get("/usr/bin/gzip");
  identify(3_600n);
  files.refresh();
  files.refresh();
  expect(files.get("/usr/bin/gzip")).toEqual({ is: identityOf(3_600n), since: NOON });
  clock.now = NOON + SECOND;
  identify(60n);
  expect(files.get("/usr/bin/gzip")).toEqual({ is: identityOf(60n), since: NOON + SECOND });
  files.refresh();
  files.forget();
  expect(files.get("/usr/bin/gzip")).toBeUndefined();
});

test("a file that was changed just before is no exception, until it is identified again two seconds later", () => {
  const { asked, clock, files } = start();
  const changed = (seconds: bigint): FileIdentity => ({
    ...identityOf(0n),
    changed: NOON / SECOND + seconds,
  });
  const answer = (identity: FileIdentity): void => {
    const opened = [{ path: "/usr/bin/gzip", is: "file", fd: 7 }] as const;
    files.onOpened(1, opened, kernelWith(new Map([[7, identity]])));
  };
  files.get("/usr/bin/gzip");
  files.askWanted();
  answer(changed(-1n));
  expect(files.get("/usr/bin/gzip")).toEqual({ is: "recent", since: NOON });
  files.askWanted();
  expect([files.askedAgainIn, asked.length]).toEqual([2.25e9, 1]);
  clock.now += 9n * (SECOND / 4n);
  files.askWanted();
  expect([asked.length, files.get("/usr/bin/gzip")?.is]).toEqual([2, "recent"]);
  answer(changed(-1n));
  expect(files.get("/usr/bin/gzip")).toEqual({ is: changed(-1n), since: clock.now });
  expect(files.askedAgainIn).toBe(Number.POSITIVE_INFINITY);
});

test("a file that changes all the time is identified three times", () => {
  const { asked, clock, files } = start();
  files.get("/usr/bin/gzip");
  for (let i = 0; i < 100; i += 1) {
    files.askWanted();
    const identity = { ...identityOf(0n), changed: clock.now / SECOND };
    const opened = [{ path: "/usr/bin/gzip", is: "file", fd: 7 }] as const;
    files.onOpened(1, opened, kernelWith(new Map([[7, identity]])));
    clock.now += SECOND;
  }
  expect(asked.length).toBe(3);
  expect(files.get("/usr/bin/gzip")?.is).toBe("recent");
});

test("what is old is identified again once, too: it shows which other files were there", () => {
  const { asked, clock, files } = start();
  const identify = (): void => {
    files.askWanted();
    const opened = [{ path: "/usr/bin/gzip", is: "none" }] as const;
    files.onOpened(1, opened, undefined);
  };
  files.get("/usr/bin/gzip");
  identify();
  clock.now += 3n * SECOND;
  identify();
  expect(files.get("/usr/bin/gzip")).toEqual({ is: "none", since: clock.now });
  clock.now += 60n * SECOND;
  identify();
  expect(asked.length).toBe(2);
});

test("what was known before a refresh counts until its own answer has come", () => {
  const { files } = start();
  const [first, second] = ["/usr/bin/gzip", "/usr/bin/id"] as const;
  const answer = (path: string): boolean => files.onOpened(1, [{ path, is: "none" }], undefined);
  for (const path of [first, second]) files.get(path);
  files.askWanted();
  expect([answer(first), answer(second)]).toEqual([false, true]);
  files.refresh();
  files.get(first);
  files.askWanted();
  answer(first);
  expect(files.get(second)?.is).toBe("none");
  expect(files.forgetBelow(new Set([second]))).toBe(true);
  expect(files.get(second)).toBeUndefined();
});
