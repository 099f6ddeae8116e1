// What of a package manager's work no policy closes: itself and what packages bring, not what its caller has it run.
import { expect, test } from "bun:test";
import { PackagingTrees } from "../../src/baseline/package-managers.ts";
import { lineage, type Step } from "./lineages.ts";

const APT = "/usr/bin/apt-get";
const DPKG = "/usr/bin/dpkg";
const SH = "/usr/bin/dash";
const postinst: Step = { run: SH, args: ["/bin/sh", "/var/lib/dpkg/info/nginx.postinst", "configure"] };
const command = (text: string): Step => ({ run: SH, args: ["sh", "-c", text] });

const isPackaging = (...steps: readonly (string | Step)[]): boolean =>
  new PackagingTrees().includes(lineage(...steps));

test("a package manager, its helpers and maintainer scripts are, with the shells that these start", () => {
  expect(isPackaging("/usr/sbin/sshd", "/usr/bin/bash", "/usr/bin/sudo", APT)).toBe(true);
  expect(isPackaging(APT, "/usr/lib/apt/methods/http")).toBe(true);
  expect(isPackaging(APT, DPKG, postinst, "/usr/bin/systemctl")).toBe(true);
  expect(isPackaging(APT, DPKG, postinst, command("deb-systemd-helper x"), "/usr/bin/perl")).toBe(true);
  expect(
    isPackaging("/usr/bin/dnf-3", "/usr/bin/rpm", { run: SH, args: ["/bin/sh", "/var/tmp/rpm-tmp.a"] }),
  ).toBe(true);
});

test("a hook's shell is not, nor what it starts or becomes", () => {
  expect(isPackaging(APT, command("sh -i"))).toBe(false);
  expect(isPackaging(APT, command("/tmp/x"), "/tmp/x")).toBe(false);
  expect(isPackaging(APT, { run: "/tmp/x", earlier: [{ run: SH, args: ["sh", "-c", "/tmp/x"] }] })).toBe(
    false,
  );
  expect(isPackaging(APT, DPKG, command("/tmp/x"), "/tmp/x")).toBe(false);
});

test("a package manager that a hook starts is one again", () => {
  expect(isPackaging(APT, command("dpkg -i x.deb"), DPKG, postinst)).toBe(true);
});

test("a program of that name elsewhere, of another user or in a container is none", () => {
  expect(isPackaging("/tmp/apt-get", "/usr/bin/dpkg-deb")).toBe(false);
  expect(isPackaging({ run: APT, uid: 33 }, { run: "/usr/bin/dpkg-deb", uid: 33 })).toBe(false);
  const container = "c".repeat(64);
  expect(isPackaging({ run: APT, container }, { run: SH, container })).toBe(false);
});
