import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type FoldedElement, foldElement, MAX_ELEMENTS, readElements } from "../../src/fingerprint/fold.ts";
import { identify } from "../../src/fingerprint/identify.ts";
import { expectLinear } from "../cost.ts";

function foldPath(path: string): FoldedElement[] {
  return readElements(path, MAX_ELEMENTS, foldElement, (elided) => elided);
}

function folded(path: string): string {
  return foldPath(path)
    .map(({ text }) => `/${text}`)
    .join("");
}

function nameOf(executable: string): string {
  const facts = {
    executable,
    executableMemfd: false,
    filename: undefined,
    script: undefined,
    args: undefined,
    cwd: "/",
  };
  return identify(facts).name;
}

describe("an upgrade changes no label", () => {
  test.each([
    ["/usr/sbin/php-fpm8.2", "php-fpm"],
    ["/usr/bin/gcc-12", "gcc"],
    ["/usr/bin/x86_64-linux-gnu-gcc-12", "x86_64-linux-gnu-gcc"],
    ["/usr/bin/clang++-14", "clang++"],
    ["/usr/bin/python3.11", "python3"],
    ["/usr/bin/python3.11-config", "python3-config"],
    ["/usr/bin/perl5.36.0", "perl"],
    ["/usr/bin/ruby3.1", "ruby"],
    ["/usr/lib/openssh/sshd-session", "sshd"],
    ["/usr/libexec/sshd-auth", "sshd"],
    ["/opt/app-1.2.3.jar", "app.jar"],
    ["/opt/exporter-1.7.0.linux-amd64", "exporter.linux-amd64"],
    ["/usr/bin/node_exporter-1.7.0", "node_exporter"],
    ["/opt/kube-proxy-v1.28.2", "kube-proxy"],
  ])("%s is %s", (path, name) => {
    expect(nameOf(path)).toBe(name);
  });

  test.each([
    ["/usr/lib/postgresql/15/bin/postgres", "/usr/lib/postgresql/15/bin/postgres"],
    ["/home/u/.pyenv/versions/3.12.1/bin/python3.12", "/home/u/.pyenv/versions/*/bin/python3"],
    ["/home/u/.nvm/versions/node/v20.11.1/bin/node", "/home/u/.nvm/versions/node/*/bin/node"],
    ["/usr/lib/modules/6.1.0-18-amd64/x", "/usr/lib/modules/*/x"],
    ["/snap/core20/2105/usr/bin/snap", "/snap/core20/*/usr/bin/snap"],
    ["/nix/store/9s5fqn2y3gqpxsxc2dphyr3xqplkxp5m-bash-5.2.26/bin/bash", "/nix/store/bash/bin/bash"],
  ])("%s is %s", (path, expected) => {
    expect(folded(path)).toBe(expected);
  });
});

describe("digits that are part of a name stay", () => {
  test.each([
    "bzip2",
    "sha256sum",
    "base64",
    "ip6tables",
    "mkfs.ext4",
    "apache2",
    "x86_64",
    "7z",
    "ld-linux-x86-64.so.2",
  ])("%s", (name) => {
    expect(nameOf(`/opt/${name}`)).toBe(name);
  });
});

describe("a job has one label", () => {
  test.each([
    ["/var/lib/dpkg/info/nginx.postinst", "postinst"],
    ["/var/lib/dpkg/info/libc6:amd64.preinst", "preinst"],
    ["/tmp/openssh-server.config.aB3xYz", "config"],
    ["/tmp/jenkins1234567890123456789.sh", "jenkins*.sh"],
    ["/srv/backup-2024-01-31.sh", "backup-*.sh"],
    ["/srv/report_20240131T1200.py", "report_*.py"],
    ["/var/spool/slurmd/job1234567", "job*"],
    ["/srv/step1234.sh", "step*.sh"],
    ["/home/runner/actions/_temp/550e8400-e29b-41d4-a716-446655440000.sh", "*.sh"],
    ["/tmp/go-build1234567890/b001/exe/main", "main"],
    ["/proc/self/fd/3", "*"],
  ])("%s is %s", (path, name) => {
    expect(nameOf(path)).toBe(name);
  });
});

test("a folded name makes no tree random", () => {
  for (const path of [
    "/var/lib/docker/overlay2/0883569a23a4bd160883569a23a4bd160883569a23a4bd160883569a23a4bd16/merged/app",
    "/tmp/mkinitramfs_q8Zk3v/init",
    "/tmp/ansible_command_payload_k3jx2a9q/x",
    "/tmp/pip-build-env-k3jx2a9q/overlay/bin/ninja",
    "/root/.npm/_npx/0883569a23a4bd16/node_modules/x",
    "/srv/target/release/deps/prom_cnproc-0883569a23a4bd16",
  ]) {
    expect(
      identify({
        executable: path,
        executableMemfd: false,
        filename: undefined,
        script: undefined,
        args: undefined,
        cwd: "/",
      }).random,
    ).toBe(false);
  }
});

test("what only resembles a known shape, or lies elsewhere, is scored", () => {
  for (const path of [
    "/tmp/0883569a23a4bd16-bash",
    "/srv/0883569a23a4bd16/merged/app",
    "/opt/mkinitramfs_q8Zk3vXw2/init",
  ]) {
    expect(
      identify({
        executable: path,
        executableMemfd: false,
        filename: undefined,
        script: undefined,
        args: undefined,
        cwd: "/",
      }).random,
    ).toBe(true);
  }
});

test("a version behind a random name hides nothing", () => {
  expect(nameOf("/opt/q8Zk3vXw2L-1.2.3")).toBe("random");
});

test("folding what is folded changes nothing, and no element is lost", () => {
  fc.assert(
    fc.property(
      fc.array(fc.stringMatching(/^[A-Za-z0-9._-]{1,24}$/), { minLength: 1, maxLength: 6 }),
      (names) => {
        const path = `/${names.join("/")}`;
        const elements = foldPath(path);
        expect(elements.map(({ element }) => element)).toEqual(names);
        for (const { text } of elements) expect(text).not.toBe("");
      },
    ),
  );
});

test("no name takes long: whoever may write a file chooses its name", () => {
  // Longer than names are (255 bytes), so that what is not linear cannot hide.
  for (const part of ["_a", "-a", ".1", "_1", "~a_", "rc1", "1-", "g", "a1.", "0.", "+a_b"]) {
    for (const start of ["1.1", "v1.2", "a-1.1", "a", "ansible-tmp-1"]) {
      for (const end of ["", "!", ".sh"])
        expectLinear((size) => foldPath(`/tmp/${start}${part.repeat(size / part.length)}${end}`), 2_000);
    }
  }
});
