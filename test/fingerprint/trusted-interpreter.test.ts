// An intruder copies an interpreter, or writes one, and calls it as the system calls its own: the copy is what it is.
import { describe, expect, test } from "bun:test";
import { createIdentifier, identification, identify } from "../../src/fingerprint/identify.ts";

const job = {
  executable: "/home/u/bash",
  executableMemfd: false,
  filename: undefined,
  script: undefined,
  args: ["bash", "/usr/sbin/invoke-rc.d", "nginx", "rotate"],
  cwd: "/",
  cgroup: "/system.slice/cron.service",
};

describe("below an interpreter that others than root can write", () => {
  test("a system script's name is not the label, however often it was asked", () => {
    const own = createIdentifier();
    for (let i = 0; i < 2; i++) {
      expect(own({ ...job, executableTrusted: false })).toMatchObject({
        path: "/home/u/bash",
        label: "bash",
        script: undefined,
      });
      expect(own({ ...job, executableTrusted: true }).path).toBe("/usr/sbin/invoke-rc.d");
    }
  });

  test("events and scans agree: the script that the kernel was given counts as little", () => {
    const byEvent = identify({ ...job, script: "/usr/sbin/invoke-rc.d", executableTrusted: false });
    expect(byEvent).toEqual(identify({ ...job, executableTrusted: false }));
  });

  test("the applet of a multi-call binary is not the label either", () => {
    const busybox = {
      ...job,
      executable: "/home/u/busybox",
      args: ["crond", "-f"],
      filename: "/home/u/crond",
    };
    expect(identify({ ...busybox, executableTrusted: true }).name).toBe("crond");
    expect(identify({ ...busybox, executableTrusted: false }).name).toBe("busybox");
  });

  test("explain says why", () => {
    const steps: string[] = [];
    identification({ ...job, executableTrusted: false }, (text) => steps.push(text));
    expect(steps.join("\n")).toContain("not root's alone");
  });
});

test("where the owner is not known, as in captures of before, the command line decides", () => {
  expect(identify(job).path).toBe("/usr/sbin/invoke-rc.d");
});

test("in a container the files are the image's, and so are their owners", () => {
  const cgroup = `/system.slice/docker-${"c".repeat(64)}.scope`;
  expect(identify({ ...job, cgroup, executableTrusted: false }).path).toBe("/usr/sbin/invoke-rc.d");
});
