import { describe, expect, test } from "bun:test";
import { properEnds, Scopes, scopeOf } from "../../src/baseline/key.ts";
import { imageName } from "../../src/fingerprint/image-reference.ts";

describe("the scope of a process", () => {
  const host = (cgroup: string | undefined) => scopeOf(cgroup, null, undefined);

  test("is its systemd unit, folded", () => {
    expect(host("/system.slice/nginx.service")).toBe("nginx.service");
    expect(host("/system.slice/system-postgresql.slice/postgresql@15-main.service")).toBe(
      "postgresql@.service",
    );
    expect(host("/user.slice/user-1000.slice/session-7.scope")).toBe("session.scope");
  });

  test("does not change with an upgrade that puts its version into the unit's name", () => {
    expect(host("/system.slice/php8.2-fpm.service")).toBe(host("/system.slice/php8.4-fpm.service"));
  });

  test("is none outside of a unit", () => {
    expect(host("/")).toBe("-");
    expect(host("/init")).toBe("-");
  });

  test("cannot be told if the cgroup could not be read", () => {
    expect(host(undefined)).toBeUndefined();
  });

  test("below a user's own manager it is that manager, whatever the user calls his units", () => {
    expect(host("/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service")).toBe(
      "user@.service",
    );
    expect(host("/user.slice/user-1000.slice/user@1000.service/init.scope")).toBe("user@.service");
  });

  test("in a container it is the image without its tag, never mistaken for a unit", () => {
    const id = "0".repeat(64);
    expect(scopeOf(`/docker/${id}`, id, undefined)).toBe("container");
    expect(scopeOf(`/docker/${id}`, id, "nginx.service:1.25")).toBe("container/nginx.service");
    expect(scopeOf(undefined, id, "registry:5000/nginx:1.25@sha256:00")).toBe(
      "container/registry:5000/nginx",
    );
  });

  test("is printable, whatever a cgroup is called", () => {
    expect(host("/a\tb\n.service")).toBe("a\\x09b\\x0a.service");
  });

  test("remembered, it is the same", () => {
    const scopes = new Scopes();
    for (let i = 0; i < 3_000; i++) {
      const cgroup = `/system.slice/unit${"x".repeat(i % 1500)}.service`;
      expect(scopes.of(cgroup, null, undefined)).toBe(scopeOf(cgroup, null, undefined));
    }
  });
});

test("an image is named without its tag and digest", () => {
  expect(["nginx", "nginx:1", "h:5000/nginx", "h:5000/a/b:1@sha256:0"].map(imageName)).toEqual([
    "nginx",
    "nginx",
    "h:5000/nginx",
    "h:5000/a/b",
  ]);
});

test("a tree's proper ends begin at a label", () => {
  expect([...properEnds("/a/bc/d")]).toEqual(["/bc/d", "/d"]);
  expect([...properEnds("/")]).toEqual([]);
});
