// Why a live process is not known: what `explain PID` says of the baseline.
import { expect, test } from "bun:test";
import type { BaselineEntry } from "../../src/baseline/entry.ts";
import { Exclusions } from "../../src/baseline/exclusions.ts";
import { executableOf } from "../../src/baseline/executables.ts";
import { answerOf } from "../../src/cli/explain-baseline.ts";
import { globCompilers } from "../../src/policy/glob.ts";
import { lineage } from "../baseline/lineages.ts";
import { entry, NOON } from "../baseline/samples.ts";

const none = new Exclusions([], globCompilers);
const cron = { run: "/usr/sbin/cron" };
const byDash = lineage(cron, { run: "/usr/bin/dash", args: ["sh", "/srv/job"] });
const asElf = lineage(cron, { run: "/srv/job" });
const scope = "cron.service";

function learned(rest: Partial<BaselineEntry> = {}): BaselineEntry {
  const executables = ["/usr/bin/dash"].flatMap((path) => executableOf(path) ?? []);
  return entry("/cron/job", { scope, path: "/srv/job", executables, ...rest });
}

function whyOf(...[entries, leaf, within = scope, exclusions = none]: Asked): string {
  return answerOf(entries, exclusions, leaf, within, NOON).why;
}
type Asked = [
  entries: readonly BaselineEntry[] | undefined,
  leaf: typeof byDash,
  scope?: string,
  exclusions?: Exclusions,
];

test("another executable is named beside the learned one", () => {
  expect(whyOf([learned()], asElf)).toBe(
    "known habit and path, but another executable: learned /usr/bin/dash, seen /srv/job",
  );
  expect(answerOf([learned()], none, asElf, scope, NOON).knowledge.known).toBe(false);
});

test("otherwise what is missing is named: the path, or the habit in this scope", () => {
  expect(whyOf([learned({ path: "/opt/job" })], byDash)).toBe(
    "known habit, but another path: learned /opt/job, seen /srv/job",
  );
  expect(whyOf([learned()], byDash, "ssh.service")).toBe(
    "not known: no entry in scope ssh.service has the habit /cron/job",
  );
});

test("what is known has its time, and what cannot be told its reason", () => {
  expect(whyOf([learned()], byDash)).toBe("known in scope cron.service, first seen 2026-01-31T12:00:00Z");
  expect(whyOf(undefined, byDash)).toBe("no baseline was ever accepted");
  const anything = { user: undefined, scope: undefined, until: undefined, reason: "", bootEnd: undefined };
  const forAll = { ...anything, tree: "/cron/job", change: undefined };
  const exclusions = new Exclusions([forAll], globCompilers);
  expect(whyOf([learned()], asElf, scope, exclusions)).toContain("an exclusion hides it");
  expect(answerOf([learned()], exclusions, asElf, scope, NOON).knowledge).toEqual({});
  const window = { ...anything, tree: "/**", change: { id: "CHG-7", under: "cron" } };
  expect(whyOf([learned()], asElf, scope, new Exclusions([window], globCompilers))).toContain(
    "the window of change CHG-7 is open",
  );
});
