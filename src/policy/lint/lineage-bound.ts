// Kill rules without a bound on the lineage: they kill the same program below a login, a job and a package's script.

import type { Dependency } from "../../vocabulary/dependencies.ts";
import { allSteps } from "../../vocabulary/steps.ts";
import { isJudged, type JudgedVariable, judgedRow } from "../../vocabulary/variables.ts";
import { type Expression, namesIn } from "../expression.ts";
import { compilingEvaluator, type RuleEvaluator } from "../rule-evaluator.ts";
import { actsOnTree, type TestEntry } from "../schema.ts";
import { testSubject } from "../test-lineage.ts";
import type { Finding, LintedRule } from "./finding.ts";

/** Variables that depend on the position of the process in the forest. */
const lineageVariables: ReadonlySet<string> = new Set([
  "process.parent.executable.path",
  "process.parent.executable.name",
  "process.unit",
  "process.linux.cgroup",
  "container.id",
  "container.image.name",
  "k8s.pod.name",
  "k8s.namespace.name",
  "k8s.container.name",
  "tree.path",
  "tree.id",
  "tree.exact",
  "tree.habit",
  "tree.labels",
] satisfies JudgedVariable[]);

/** The dependencies of variables that identify what a process runs, its arguments, or what started it. */
const naming: ReadonlySet<Dependency> = new Set(["lineage", "program", "arguments", "directory", "parent"]);

type Member = TestEntry["lineage"][number];

const root = { "process.user.id": 0 };
const init: Member = { "process.executable.path": "/usr/lib/systemd/systemd", "process.pid": 1, ...root };

function program(path: string, ...args: string[]): Exclude<Member, string> {
  return { "process.executable.path": path, "process.command_args": args };
}

function cron(path: string, ...args: string[]): TestEntry["lineage"] {
  return [init, { "process.executable.path": "/usr/sbin/cron", ...root }, program(path, ...args)];
}

/** What every host runs all the time. A rule that kills one of these is too wide. */
const ordinaryLineages: readonly { readonly name: string; readonly lineage: TestEntry["lineage"] }[] = [
  {
    name: "the shell of a login",
    lineage: [
      init,
      { "process.executable.path": "/usr/sbin/sshd", ...root },
      { ...program("/usr/bin/bash", "-bash"), "process.user.id": 1000, "process.tty": "pts/0" },
    ],
  },
  {
    name: "a shell of cron's",
    lineage: cron("/usr/bin/dash", "/bin/sh", "-c", "run-parts /etc/cron.hourly"),
  },
  { name: "a command of cron's", lineage: cron("/usr/bin/run-parts", "run-parts", "/etc/cron.hourly") },
  {
    name: "a package's maintainer script",
    lineage: [
      { "process.executable.path": "/usr/bin/dpkg", ...root },
      program("/usr/bin/dash", "/bin/sh", "/var/lib/dpkg/info/nginx.postinst", "configure"),
    ],
  },
  {
    name: "what a service manager starts",
    lineage: [init, program("/usr/lib/systemd/systemd-executor", "systemd-executor", "--deserialize", "42")],
  },
  {
    name: "the entrypoint of a container",
    lineage: [
      { "process.executable.path": "/usr/bin/runc", ...root },
      { ...program("/bin/busybox", "/bin/sh", "/docker-entrypoint.sh"), "container.id": "0b1c" },
    ],
  },
];

function findingsOf(rule: LintedRule): readonly Finding[] {
  // A rule on the network alone may also be bound by addresses and ports.
  if (!actsOnTree(rule.rule.action) || !rule.rule.on.includes("exec")) return [];
  if (isBound(rule.condition, true, (part) => asks(part, isNaming)))
    return isBound(rule.condition, true, (part) => asks(part, (name) => lineageVariables.has(name)))
      ? []
      : tooWide(rule);
  return [unbounded(rule, "it asks neither what a process runs or is given, nor what started it")];
}

/** Kill rules that nothing bounds to a part of the host. */
export function withoutLineageBound(rules: readonly LintedRule[]): readonly Finding[] {
  return rules.flatMap(findingsOf);
}

function tooWide(rule: LintedRule): readonly Finding[] {
  const evaluator = allSteps(compilingEvaluator([rule], "allow", rule.rule.ruleset));
  const killed = ordinaryLineages.find(({ lineage }) => isKilled(evaluator, lineage));
  return killed === undefined ? [] : [unbounded(rule, `it also kills ${killed.name}`)];
}

function isKilled(evaluator: RuleEvaluator, lineage: TestEntry["lineage"]): boolean {
  return [null, false, true].some((known) =>
    actsOnTree(evaluator.decide(testSubject({ lineage, known })).action),
  );
}

function unbounded({ placed }: LintedRule, reason: string): Finding {
  return {
    rule: placed,
    message: `rule "${placed.rule.id}" kills without a bound on the lineage: ${reason}`,
    fix: 'bound it to a lineage: { "and": [ { "under": ["nginx"] }, ... ] }',
  };
}

/** Wherever the expression is true (false, if not `positive`), a part for which `bounds` is true is fulfilled. */
function isBound(expression: Expression, positive: boolean, bounds: (part: Expression) => boolean): boolean {
  if (expression.is === "call") {
    const { operator, parts } = expression;
    if (operator === "!") return parts.every((part) => isBound(part, !positive, bounds));
    if (operator === "and" || operator === "or") {
      const test = (part: Expression): boolean => isBound(part, positive, bounds);
      return (operator === "and") === positive ? parts.some(test) : parts.every(test);
    }
    // An inequality permits nearly every value, so it is no bound.
    if (operator === "!=" || operator === "!==") return !positive && bounds(expression);
  }
  return positive && bounds(expression);
}

function asks(part: Expression, isWanted: (name: string) => boolean): boolean {
  if (part.is === "under" || part.is === "tree") return true;
  if (part.is === "call" && part.parts.some((inner) => asks(inner, isWanted))) return true;
  return [...namesIn(part)].some(isWanted);
}

function isNaming(name: string): boolean {
  if (lineageVariables.has(name)) return true;
  if (!isJudged(name)) return false;
  const { dependsOn } = judgedRow(name);
  return dependsOn.some((dependency) => naming.has(dependency)) && !dependsOn.includes("baseline");
}
