import { describe, expect, test } from "bun:test";
import { exceptions } from "../../src/fingerprint/exceptions.ts";
import { createIdentifier, identify } from "../../src/fingerprint/identify.ts";
import type { RunnableFacts } from "../../src/fingerprint/runnable.ts";

function facts(executable: string, rest: Partial<RunnableFacts> = {}): RunnableFacts {
  return {
    executable,
    executableMemfd: false,
    filename: undefined,
    script: undefined,
    args: undefined,
    cwd: "/",
    ...rest,
  };
}

function labelOf(executable: string, ...args: readonly string[]): string {
  return identify(facts(executable, args.length === 0 ? {} : { args })).label;
}

describe("base", () => {
  test.each([
    "ls",
    "cat",
    "bash",
    "dash",
    "sh",
    "find",
    "tar",
    "grep",
    "sed",
    "env",
    "timeout",
    "gpgv",
    "getent",
    "ps",
  ])("is %s, in /bin as in /usr/bin", (name) => {
    expect(labelOf(`/usr/bin/${name}`)).toBe("base");
    expect(labelOf(`/bin/${name}`)).toBe("base");
  });

  test("is a shell script of the base system, started by a shell", () => {
    expect(labelOf("/usr/bin/bash", "bash", "/usr/bin/ldd", "/bin/ls")).toBe("base");
    expect(identify(facts("/usr/bin/dash", { script: "/usr/bin/zgrep" })).label).toBe("base");
  });

  test("is an ordinary applet of a multi-call binary", () => {
    expect(labelOf("/bin/busybox", "busybox", "ls")).toBe("base");
    expect(labelOf("/usr/bin/coreutils", "cat")).toBe("base");
  });

  test("keeps its own name in the exact tree", () => {
    expect(identify(facts("/usr/bin/ls")).name).toBe("ls");
  });
});

describe("not base", () => {
  test.each([
    ["/usr/sbin/sshd", "sshd"],
    ["/sbin/agetty", "agetty"],
    ["/usr/sbin/useradd", "useradd"],
    ["/usr/bin/nc.traditional", "nc.traditional"],
    ["/usr/bin/wget", "wget"],
    ["/usr/bin/perl", "perl"],
    ["/usr/bin/python3.11", "python3"],
    ["/usr/bin/sudo", "sudo"],
    ["/usr/bin/su", "su"],
    ["/usr/bin/nsenter", "nsenter"],
    ["/usr/bin/crontab", "crontab"],
    ["/usr/bin/base64", "base64"],
    ["/usr/bin/ssh", "ssh"],
    ["/usr/bin/mawk", "mawk"],
    ["/usr/bin/zsh", "zsh"],
    ["/usr/bin/pstree", "pstree"],
    ["/tmp/ls", "ls"],
    ["/home/u/bin/bash", "bash"],
    ["/usr/local/bin/ls", "ls"],
  ])("is %s", (path, label) => {
    expect(labelOf(path)).toBe(label);
  });

  test("is an applet that connects, though ls beside it is", () => {
    expect(labelOf("/bin/busybox", "busybox", "nc", "-l")).toBe("nc");
    expect(labelOf("/bin/busybox", "busybox", "httpd")).toBe("httpd");
  });
});

test("every exception says why", () => {
  for (const [name, reason] of exceptions) expect(`${name}: ${reason}`).toMatch(/: \S.{3,}/);
});

test("another base system can be given", () => {
  const own = createIdentifier({ base: { files: new Map([["/usr/bin/tool", "here"]]) } });
  expect(own(facts("/usr/bin/tool")).label).toBe("base");
  expect(own(facts("/usr/bin/ls")).label).toBe("ls");
});

describe("one runnable for one program", () => {
  test("whatever its arguments, if they do not say what it runs", () => {
    expect(identify(facts("/usr/sbin/nginx", { args: ["nginx", "-g", "x"] }))).toBe(
      identify(facts("/usr/sbin/nginx")),
    );
  });

  test("whatever the arguments behind its script, and from wherever it was started", () => {
    const one = identify(facts("/usr/bin/dash", { args: ["sh", "/srv/x.sh", "1"] }));
    expect(identify(facts("/usr/bin/dash", { args: ["sh", "x.sh", "2"], cwd: "/srv" }))).toBe(one);
    expect(identify(facts("/usr/bin/dash", { args: ["sh", "/srv/y.sh"] })).key).not.toBe(one.key);
  });

  test("and another one for its shell, its script and its code", () => {
    const keys = [
      identify(facts("/usr/bin/dash", { args: ["sh", "-c", "x"] })).key,
      identify(facts("/usr/bin/dash", { args: undefined })).key,
      identify(facts("/usr/bin/dash", { args: ["sh", "/x"] })).key,
      identify(facts("/usr/bin/bash", { args: ["sh", "/x"] })).key,
    ];
    expect(new Set(keys).size).toBe(4);
  });
});
