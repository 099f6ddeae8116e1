import { describe, expect, test } from "bun:test";
import { identify, kernelThread } from "../../src/fingerprint/identify.ts";
import type { Runnable, RunnableFacts } from "../../src/fingerprint/runnable.ts";
import { treeId, treeOf } from "../../src/fingerprint/tree.ts";
import { type Lineage, Lineages } from "../../src/forest/lineage.ts";

interface Step {
  readonly run: string | Runnable;
  readonly args?: readonly string[];
  readonly script?: string;
  readonly uid?: number;
  readonly container?: string;
  readonly init?: boolean;
  readonly elided?: readonly Runnable[];
}

function facts(executable: string | undefined, rest: Partial<RunnableFacts> = {}): RunnableFacts {
  return {
    executable,
    executableMemfd: executable?.startsWith("memfd:"),
    filename: undefined,
    script: undefined,
    args: undefined,
    cwd: "/",
    ...rest,
  };
}

/** The leaf of a lineage, root first; pid 1 stands above it. */
function lineage(...steps: readonly (Step | string)[]): Lineage {
  const lineages = new Lineages();
  let leaf = lineages.intern(null, spec({ run: "/usr/lib/systemd/systemd", init: true }));
  for (const step of steps)
    leaf = lineages.intern(leaf, spec(typeof step === "string" ? { run: step } : step));
  return leaf;
}

function spec(step: Step) {
  const program =
    typeof step.run === "string"
      ? identify(facts(step.run, { args: step.args, script: step.script }))
      : step.run;
  return {
    program,
    earlier: [],
    uid: step.uid ?? 0,
    container: step.container ?? null,
    complete: true,
    init: step.init ?? false,
    elided: step.elided ?? null,
  };
}

function pathOf(...steps: readonly (Step | string)[]): string {
  return treeOf(lineage(...steps)).path;
}

function exactOf(...steps: readonly (Step | string)[]): string {
  return treeOf(lineage(...steps)).exact;
}

describe("a tree", () => {
  test("names services and scripts, and calls the tools of the base system base", () => {
    expect(
      pathOf(
        "/usr/sbin/sshd",
        "/usr/bin/bash",
        { run: "/usr/bin/bash", args: ["bash", "./server.sh"] },
        "/usr/bin/sudo",
        "/usr/bin/bash",
        "/opt/something",
      ),
    ).toBe("/sshd/base/server.sh/sudo/base/something");
  });

  test("collapses equal neighbours", () => {
    expect(
      pathOf("/usr/sbin/sshd", "/usr/sbin/sshd", "/usr/bin/bash", "/usr/bin/ls", "/usr/bin/pstree"),
    ).toBe("/sshd/base/pstree");
  });

  test("begins with /random if anything in it lies on a random path", () => {
    const python = { run: "/usr/bin/python3.11", args: ["python", "/tmp/ZW50cm9weQo/top.py"] };
    expect(pathOf("/usr/sbin/crond", python)).toBe("/random/crond/top.py");
    expect(pathOf("/usr/sbin/crond", python, "/usr/bin/pstree")).toBe("/random/crond/top.py/pstree");
  });

  test("calls a randomly named file random, in front and in its place", () => {
    expect(pathOf("/usr/sbin/crond", "/tmp/ZW50cm9weQo")).toBe("/random/crond/random");
  });

  test("leaves out pid 1 by its pid, never a program of the same name", () => {
    expect(pathOf()).toBe("/");
    expect(pathOf("/usr/lib/systemd/systemd")).toBe("/systemd");
  });

  test("begins anew where a container begins, and is random if what is outside of it is", () => {
    const inside = { run: "/usr/sbin/nginx", container: "c1" };
    expect(pathOf("/usr/bin/containerd-shim", inside)).toBe("/container/nginx");
    expect(pathOf("/usr/bin/containerd-shim", inside, { run: "/usr/bin/ls", container: "c1" })).toBe(
      "/container/nginx/base",
    );
    expect(pathOf("/usr/bin/shim", inside, { run: "/usr/bin/ls", container: "c2" })).toBe("/container/base");
    expect(pathOf("/tmp/ZW50cm9weQo", inside)).toBe("/random/container/nginx");
  });

  test("hangs what the kernel starts under kthreadd", () => {
    expect(pathOf({ run: kernelThread }, { run: kernelThread }, "/usr/sbin/modprobe")).toBe(
      "/kthreadd/modprobe",
    );
  });

  test("calls a program that could not be read unknown", () => {
    expect(pathOf("/usr/sbin/sshd", { run: identify(facts(undefined)) })).toBe("/sshd/unknown");
  });

  test("writes files that have one of treewarden's own words as a name with a leading =", () => {
    for (const word of ["base", "random", "overflow", "container", "unknown", "kthreadd", "...", "=x"]) {
      expect(pathOf(`/opt/${word}`)).toBe(`/=${word}`);
    }
  });

  test("has no label with a slash, a control character or a bare backslash in it", () => {
    expect(pathOf("memfd:a/b", "/opt/a\nb", "/opt/a\\b", "/opt/a\udcffb")).toBe(
      "/memfd:a\\x2fb/a\\x0ab/a\\\\b/a\\xffb",
    );
  });

  test("has effective users root to leaf, equal neighbours once", () => {
    const users = (...uids: readonly number[]) =>
      treeOf(lineage(...uids.map((uid, at) => ({ run: `/opt/p${at}`, uid })))).userIds;
    expect(users(0, 0, 33, 33, 0)).toEqual([0, 33, 0]);
    expect(users()).toEqual([]);
  });
});

describe("an exact tree", () => {
  test("has own names instead of base", () => {
    expect(exactOf("/usr/sbin/nginx", "/usr/bin/dash", "/usr/bin/cat")).toBe("/nginx/dash/cat");
  });

  test("collapses neighbours only if they run the same file", () => {
    expect(exactOf("/opt/a/job", "/opt/b/job")).toBe("/job/job");
    expect(pathOf("/opt/a/job", "/opt/b/job")).toBe("/job");
    expect(exactOf("/usr/bin/bash", { run: "/usr/bin/bash", args: ["bash", "-c", "ls"] })).toBe("/bash");
  });

  test("has no random prefix", () => {
    expect(exactOf("/usr/sbin/crond", "/tmp/ZW50cm9weQo/top")).toBe("/crond/top");
  });
});

describe("a long tree", () => {
  const names = Array.from({ length: 60 }, (_, at) => `/opt/p${at}x`);

  test("keeps 32 labels, the first and the last ones", () => {
    const tree = treeOf(lineage(...names));
    expect(tree.labels).toHaveLength(32);
    expect(tree.labels[15]).toBe("p15x");
    expect(tree.labels[16]).toBe("...");
    expect(tree.labels[17]).toBe("p45x");
    expect(tree.truncated).toBe(true);
    expect(treeOf(lineage(...names.slice(0, 32))).truncated).toBe(false);
  });

  test("has at most 1,024 bytes, and keeps its root and its leaf", () => {
    const long = Array.from({ length: 20 }, (_, at) => `/opt/${"ä".repeat(60)}${at}.x`);
    const tree = treeOf(lineage("/usr/sbin/sshd", ...long, "/opt/leaf"));
    expect(Buffer.byteLength(tree.path)).toBeLessThanOrEqual(1024);
    expect(tree.labels.at(0)).toBe("sshd");
    expect(tree.labels.at(-1)).toBe("leaf");
    expect(tree.labels).toContain("...");
    expect(tree.truncated).toBe(true);
  });

  test("fits even if a name is as long and as unreadable as a name can be", () => {
    const tree = treeOf(lineage(`/opt/${"\udcff".repeat(255)}`, `/opt/${"\udcfe".repeat(255)}`, "/opt/leaf"));
    expect(Buffer.byteLength(tree.path)).toBeLessThanOrEqual(1024);
    expect(tree.labels.at(-1)).toBe("leaf");
  });

  test("shows what was left out of its lineage as ... and stays random because of it", () => {
    const left = identify(facts("/tmp/ZW50cm9weQo/x"));
    expect(pathOf("/usr/sbin/sshd", { run: "/opt/a", elided: [left] }, "/opt/b")).toBe(
      "/random/sshd/.../a/b",
    );
  });

  test("is bounded in time and memory for an endless chain of two names in turn", () => {
    const lineages = new Lineages();
    let leaf = lineages.intern(null, spec({ run: "/opt/a0" }));
    for (let at = 1; at < 20_000; at++) {
      const next = lineages.intern(leaf, spec({ run: at % 2 === 0 ? "/opt/a0" : "/opt/b0" }));
      lineages.retain(next);
      if (at > 1) lineages.release(leaf);
      leaf = next;
      treeOf(leaf);
    }
    expect(treeOf(leaf).labels.length).toBeLessThanOrEqual(32);
    expect(lineages.size).toBeLessThan(200);
  });
});

describe("a tree's id", () => {
  test("is a hash of the text: these must never change without a new first digit", () => {
    expect(treeId("/sshd/base/pstree")).toBe("15362cc19b10cbafe2fc3d2f43005768");
  });

  test("is the same however a tree came about", () => {
    const one = treeOf(lineage("/usr/sbin/sshd", "/usr/bin/ls"));
    const other = treeOf(lineage("/usr/local/sbin/sshd", "/usr/bin/cat"));
    expect(one.id).toBe(other.id);
    expect(one.id).toMatch(/^1[0-9a-f]{31}$/);
  });
});
