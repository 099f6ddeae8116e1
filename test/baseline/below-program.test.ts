// Which processes a change window is for. An intruder may choose the name and the place of what he runs.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { belowProgram } from "../../src/baseline/below-program.ts";
import { belowPackageManager } from "../../src/baseline/package-managers.ts";
import { compileGlob } from "../../src/policy/glob.ts";
import { lineage, type Step } from "./lineages.ts";

const ANSIBLE = "/usr/bin/ansible-playbook";
const www = 33;
const deploy = 1000;
const by = (uid: number, run: string): Step => ({ run, uid });

function isBelow(program: string, steps: readonly (string | Step)[], user?: number): boolean {
  return belowProgram(program, user, compileGlob).includes(lineage(...steps));
}

describe("a window below a name", () => {
  test("is for what that program starts at any distance, not for the program itself", () => {
    expect(isBelow("ansible-playbook", [ANSIBLE, "/usr/bin/rsync"])).toBe(true);
    expect(isBelow("ansible-playbook", [ANSIBLE, "/usr/bin/bash", by(www, "/opt/site/job")])).toBe(true);
    expect(isBelow("ansible-playbook", ["/usr/sbin/cron", ANSIBLE])).toBe(false);
    expect(isBelow("ansible-playbook", ["/usr/sbin/cron", "/usr/bin/rsync"])).toBe(false);
  });

  test("is not for what another user starts under that name, wherever the file is", () => {
    for (const path of ["/tmp/ansible-playbook", ANSIBLE])
      expect(isBelow("ansible-playbook", ["/usr/sbin/nginx", by(www, path), by(www, "/tmp/implant")])).toBe(
        false,
      );
    // A set-user-id program that the other user's program starts, or becomes, runs as root.
    const become: Step = { run: "/usr/bin/sudo", uid: 0, earlier: ["/tmp/ansible-playbook"] };
    expect(isBelow("ansible-playbook", [become, by(www, "/tmp/implant")])).toBe(false);
    expect(
      isBelow("ansible-playbook", [by(www, "/tmp/ansible-playbook"), by(0, "/usr/bin/sudo"), "/tmp/implant"]),
    ).toBe(false);
  });

  test("with a user is for that user's and for root's", () => {
    expect(isBelow("ansible-playbook", [by(deploy, ANSIBLE), "/usr/bin/rsync"], deploy)).toBe(true);
    expect(isBelow("ansible-playbook", [by(www, ANSIBLE), "/usr/bin/rsync"], deploy)).toBe(false);
  });

  test("is not for what runs in a container, where somebody else has put the files", () => {
    const container = "c".repeat(64);
    expect(
      isBelow("ansible-playbook", [
        { run: ANSIBLE, container },
        { run: "/usr/bin/rsync", container },
      ]),
    ).toBe(false);
  });

  test("is not for everything: pid 1 opens none", () => {
    expect(isBelow("systemd", ["/usr/sbin/nginx", "/usr/bin/bash"])).toBe(false);
  });
});

describe("a window below a path", () => {
  test("is not for the same name elsewhere", () => {
    expect(isBelow(ANSIBLE, [ANSIBLE, "/usr/bin/rsync"])).toBe(true);
    expect(isBelow("/opt/deploy/**", ["/opt/deploy/1.2/bin/run", "/usr/bin/rsync"])).toBe(true);
    expect(isBelow(ANSIBLE, ["/root/ansible-playbook", "/usr/bin/rsync"])).toBe(false);
  });
});

test("a package manager is root's, in its own place, on the host", () => {
  const below = (...steps: readonly (string | Step)[]): boolean =>
    belowPackageManager().includes(lineage(...steps));
  expect(below("/usr/bin/apt-get", "/usr/bin/dpkg", "/var/lib/dpkg/info/nginx.postinst")).toBe(true);
  expect(below("/usr/bin/dnf", "/usr/bin/bash")).toBe(true);
  expect(below("/tmp/apt-get", "/usr/bin/bash")).toBe(false);
  expect(below(by(www, "/usr/bin/apt-get"), by(www, "/usr/bin/bash"))).toBe(false);
});

test("hostile names never open a window of another name, and no name makes it throw", () => {
  const name = fc.oneof(
    fc.string({ unit: "binary", minLength: 1, maxLength: 12 }).map((text) => text.replaceAll("/", "_")),
    fc.constantFrom("*", "**", "ansible-playbook ", "{a,b}", "ansible-playbook\n", ".."),
  );
  fc.assert(
    fc.property(fc.array(name, { minLength: 1, maxLength: 6 }), fc.nat({ max: 1 }), (names, uid) => {
      const steps = names.map((each) => by(uid, `/tmp/${each}`));
      expect(isBelow("/usr/bin/{ansible-playbook,*-deploy}", steps)).toBe(false);
      expect(isBelow("ansible-playbook", steps)).toBe(false);
    }),
    { numRuns: 300 },
  );
});
