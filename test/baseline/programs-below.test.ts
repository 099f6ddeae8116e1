// Which files a baseline knows directly below a tree.
import { expect, test } from "bun:test";
import { executableOf } from "../../src/baseline/executables.ts";
import { ProgramsBelow } from "../../src/baseline/programs-below.ts";
import { entry } from "./samples.ts";

function below(habit: string, complete = true) {
  const programs = new ProgramsBelow();
  const executables = (path: string) => [executableOf(path)].flatMap((each) => each ?? []);
  programs.add(entry("/nginx", { path: "/usr/sbin/nginx", executables: executables("/usr/sbin/nginx") }));
  programs.add(entry("/nginx/gzip", { executables: executables("/usr/bin/gzip-1.12") }));
  programs.add(entry("/cron/nginx/id", { executables: executables("/usr/bin/id") }));
  const tool = "/opt/app/*/bin/tool";
  programs.add(entry("/nginx/tool", { path: tool, executables: executables("/opt/app/2/bin/tool") }));
  programs.add(entry("/nginx/random", { path: "/srv/random" }));
  programs.add(entry("/shop/tar", { fromMain: true, complete: false }));
  programs.add(entry("/nginx/id", { scope: "other.service", path: "/usr/bin/id" }));
  programs.add(entry("/nginx/tcp", { path: "outbound:tcp:203.0.113.7/32:443" }));
  const { patterns, unlistable, mayBeInterpreted } = programs.below("-", { habit, exact: habit, complete });
  return { patterns: [...patterns].toSorted(), unlistable: [...unlistable], mayBeInterpreted };
}

test("those of this tree and scope by their compared paths, and what no folder shows apart", () => {
  expect(below("/nginx/any")).toEqual({
    patterns: ["/opt/app/*/bin/tool", "/usr/bin/gzip"],
    unlistable: ["/srv/random"],
    mayBeInterpreted: true,
  });
});

test("of an incomplete lineage also those of trees that end in it", () => {
  expect(below("/nginx/any", false).patterns).toEqual([
    "/opt/app/*/bin/tool",
    "/usr/bin/gzip",
    "/usr/bin/id",
  ]);
});

test("what was learned from its unit's main program on is known below anything", () => {
  expect(below("/runner/shop/any").patterns).toEqual(["/usr/bin/tar"]);
  expect(below("/cron/any").patterns).toEqual([]);
});

test("whether an interpreter may run something of it", () => {
  const programs = new ProgramsBelow();
  const add = (habit: string, path: string, executable: string): void => {
    const executables = [executableOf(executable)].flatMap((each) => each ?? []);
    programs.add(entry(habit, { path, executables }));
  };
  add("/nginx/gzip", "/usr/bin/gzip", "/usr/bin/gzip");
  add("/cron/job", "/etc/cron.daily/job", "/usr/bin/dash");
  add("/php/sh", "/usr/bin/dash", "/usr/bin/dash");
  programs.add(entry("/old/gzip"));
  const isInterpreted = (habit: string): boolean =>
    programs.below("-", { habit, exact: habit, complete: true }).mayBeInterpreted;
  expect(["/nginx/any", "/cron/any", "/php/any", "/old/any"].map(isInterpreted)).toEqual([
    false,
    true,
    true,
    true,
  ]);
});

test("below a shell, what was learned below a script of any name or below none", () => {
  const programs = new ProgramsBelow();
  const learned = [
    ["/postgres/cp", "/usr/bin/cp"],
    ["/postgres/archive.sh/gzip", "/usr/bin/gzip"],
    ["/postgres/archive.sh/gzip/id", "/usr/bin/id"],
    ["/cron/tar", "/usr/bin/tar"],
  ] as const;
  for (const [habit, path] of learned) programs.add(entry(habit, { path }));
  const tree = "/postgres/dash";
  const { patterns } = programs.belowAnything("-", { habit: tree, exact: tree, complete: true });
  expect([...patterns].toSorted()).toEqual(["/usr/bin/cp", "/usr/bin/gzip"]);
});
