// `treewarden policy`: checks, tests, shows and signs policies, without any effect on a running warden.
import { Command, Option } from "commander";
import { printable } from "../linux/text.ts";
import { lint } from "../policy/lint.ts";
import { loadPolicies } from "../policy/load.ts";
import { neverMatching, neverMatchingText } from "../policy/never-matching.ts";
import type { Policy } from "../policy/policy.ts";
import { type PolicyTestResult, runTests } from "../policy/run-tests.ts";
import { defaultEnvironmentNames } from "../vocabulary/environment.ts";
import { type OpenableSource, openableSources } from "../vocabulary/sensors.ts";
import { readConfig } from "./configuration.ts";
import { configOption, stateDirOption } from "./host-settings.ts";
import { limitOption } from "./limit-option.ts";
import { CommandError, exitCodes, mayColour, warn } from "./output.ts";
import { type OutputFormat, outputOption } from "./output-format.ts";
import { policySources, printPolicyErrors } from "./policies.ts";
import { type ImpactFlags, impact } from "./policy/impact.ts";
import { keygen, sign, verify } from "./policy/sign.ts";
import { rulesText } from "./rules-text.ts";
import { timeHelp } from "./times.ts";

interface OutputFlags {
  readonly output: OutputFormat;
}

interface CheckFlags extends OutputFlags {
  readonly source?: OpenableSource;
}

const impactExamples = `
Examples:
  treewarden policy impact ./shop.json              before it is put into force
  treewarden policy impact ./shop.json --since 7d --output json

A kill is shown as a kill, whether it is armed or not. What was not recorded (environment variables that no rule asked for,
say) leaves a rule undecided, which is counted. RECORDS are verdicts and new trees in the journal: what runs without either is
counted under LEARNED, if it was learned.
`;

export function policyCommand(): Command {
  const command = new Command("policy").description("check, lint, test, show and sign policies");
  command
    .command("check")
    .description("check policies and show every error (exit code 2 if there is one); warn of what lint finds")
    .argument("<role-or-file...>", "roles, or files")
    .addOption(outputOption())
    .addOption(
      new Option(
        "--source <source>",
        "warn of rules that can never match under this source of events",
      ).choices(openableSources),
    )
    .action((names: string[], flags: CheckFlags) => check(names, flags));
  command
    .command("lint")
    .description(
      "find rules that never match, match everything or are never reached, and kill rules that are too wide; exit code 1 if there is one",
    )
    .argument("<role-or-file...>", "roles, or files")
    .addOption(outputOption())
    .action((names: string[], flags: OutputFlags) => lintAll(names, flags));
  command
    .command("test")
    .description("run the tests in policies; exit code 1 if one fails")
    .argument("<role-or-file...>", "roles, or files")
    .addOption(outputOption())
    .action((names: string[], flags: OutputFlags) => test(names, flags));
  command
    .command("impact")
    .description(
      "judge by a policy all that the journal and the baseline know this host to run; exit code 1 if a tree of the baseline (without one: any tree) would draw an alert or a kill",
    )
    .argument("[role-or-file]", "a role, or a file (default: the configuration's policies)")
    .option(
      "--rule <rule>",
      "only what this rule, ROLE/RULE, would do if it were armed; several times: what these would",
      (rule: string, others: readonly string[] = []) => [...others, rule],
    )
    .option("--unit <unit>", "with --rule: only in this systemd unit")
    .option("--user <user>", "with --rule: only for programs of this effective user")
    .option("--since <time>", `records from then on: ${timeHelp}`, "30d")
    .addOption(limitOption())
    .addOption(outputOption())
    .addOption(configOption())
    .addOption(stateDirOption())
    .addHelpText("after", impactExamples)
    .action((name: string | undefined, flags: ImpactFlags) => impact(name, flags));
  command
    .command("show")
    .description("write a policy with its inheritance resolved, as JSON that is itself a policy")
    .argument("<role-or-file>", "a role, or a file")
    .action((name: string) => show(name));
  command
    .command("sign")
    .description("sign a policy, its parents' files and their baselines as they are now, into FILE.sig")
    .argument("<file>", "a policy")
    .requiredOption("--key <file>", "the private key")
    .action((name: string, flags: { key: string }) => sign(name, flags.key));
  command
    .command("verify")
    .description(
      "check that a policy is unchanged since it was signed with one of the keys; exit code 1 if not",
    )
    .argument("<file>", "a policy")
    .requiredOption("--key <file...>", "the public key; of several, any")
    .action((name: string, flags: { key: readonly string[] }) => verify(name, flags.key));
  command
    .command("keygen")
    .description("create a pair of keys, Ed25519 in PEM: NAME.key, which only you can read, and NAME.pub")
    .argument("[name]", "where, without ending", "policy")
    .action((name: string) => keygen(name));
  return command;
}

/** Prints every error on stderr, with its place and fix. */
function check(names: readonly string[], flags: CheckFlags): void {
  let broken = 0;
  for (const name of names) {
    const { policy, errors, baselines, rules } = loadOne(name);
    const findings = lint(rules);
    const warnings = policy === undefined ? [] : warningsOf(policy, flags.source);
    if (flags.output === "json") {
      line({
        policy: name,
        ok: policy !== undefined,
        ...(policy === undefined ? { errors } : summary(policy)),
        ...(warnings.length === 0 ? {} : { warnings }),
        ...(findings.length === 0 ? {} : { lint: findings }),
      });
    } else if (policy !== undefined) {
      const known = baselines.map(({ file, trees }) => `, ${trees} trees in ${file}`).join("");
      const text = `${name}: ${rulesText(policy.rules.length)}, version ${policy.version}${known}`;
      process.stdout.write(`${printable(text)}\n`);
      for (const text of warnings) warn(text);
      printPolicyErrors(findings);
    }
    if (policy === undefined) {
      broken += 1;
      if (flags.output === "pretty") printPolicyErrors(errors);
    }
  }
  if (broken > 0) throw new CommandError(exitCodes.usage, `${broken} of ${names.length} policies broken`);
}

function warningsOf(policy: Policy, source: OpenableSource | undefined): readonly string[] {
  if (source === undefined) return [];
  return neverMatching(policy, source).map((rule) => neverMatchingText(rule, source));
}

function summary(policy: { role: string; version: string; digest: string; rules: readonly unknown[] }) {
  return { role: policy.role, version: policy.version, digest: policy.digest, rules: policy.rules.length };
}

function test(names: readonly string[], flags: OutputFlags): void {
  let failed = 0;
  let total = 0;
  let broken = 0;
  for (const name of names) {
    const { policy, role, errors } = loadOne(name);
    if (policy === undefined) {
      broken += 1;
      printPolicyErrors(errors);
      continue;
    }
    const results = runTests(policy, role);
    if (results.length === 0) warn(`${name}: has no tests`);
    for (const result of results) {
      total += 1;
      if (!result.passed) failed += 1;
      if (flags.output === "json") line({ policy: name, ...flat(result) });
      else printTestResult(name, result);
    }
  }
  if (flags.output === "pretty" && broken < names.length)
    process.stdout.write(`${total - failed} of ${total} tests pass\n`);
  if (broken > 0) throw new CommandError(exitCodes.usage, `${broken} of ${names.length} policies broken`);
  if (failed > 0) process.exitCode = exitCodes.no;
}

function loadOne(name: string) {
  const loaded = loadPolicies([name], policySources("to show", readNames()));
  return loaded.policy === undefined
    ? { policy: undefined, role: undefined, errors: loaded.errors, baselines: [], rules: [] }
    : { ...loaded, errors: [] };
}

/** Prints what is valid and yet not meant; every finding is an error here. */
function lintAll(names: readonly string[], flags: OutputFlags): void {
  let broken = 0;
  let found = 0;
  for (const name of names) {
    const { policy, errors, rules } = loadOne(name);
    const findings = lint(rules);
    found += findings.length;
    if (policy === undefined) broken += 1;
    if (flags.output === "json")
      line({ policy: name, ok: policy !== undefined && findings.length === 0, errors, lint: findings });
    else printPolicyErrors([...errors, ...findings]);
  }
  if (broken > 0) throw new CommandError(exitCodes.usage, `${broken} of ${names.length} policies broken`);
  if (found > 0) process.exitCode = exitCodes.no;
  else if (flags.output === "pretty")
    process.stdout.write(
      `${names.length === 1 ? "1 policy" : `${names.length} policies`} without findings\n`,
    );
}

/** What this host reads of an environment; the default for a user who may not read its configuration. */
function readNames(): readonly string[] {
  try {
    return readConfig(undefined, "to show").environment.read;
  } catch (error) {
    if (error instanceof CommandError) return defaultEnvironmentNames;
    throw error;
  }
}

function flat(result: PolicyTestResult) {
  const { decision } = result;
  return {
    test: result.name,
    passed: result.passed,
    expected: result.expected,
    action: decision.action,
    rule: decision.rule,
    matched_rules: decision.matched,
    undecided: decision.undecided,
    "tree.path": result.tree,
  };
}

function printTestResult(policy: string, result: PolicyTestResult): void {
  const { decision, expected } = result;
  const colour = mayColour(process.stdout);
  const word = result.passed ? "pass" : "FAIL";
  const painted = colour ? `\u001b[${result.passed ? 32 : 31}m${word}\u001b[0m` : word;
  process.stdout.write(`${painted} ${printable(`${policy}: ${result.name}`)}\n`);
  if (result.passed) return;
  const wanted = expected.rule === undefined ? expected.action : `${expected.action} by ${expected.rule}`;
  process.stdout.write(`     expected ${wanted}, got ${decision.action} by ${decision.rule}\n`);
  process.stdout.write(`     tree ${printable(result.tree)}\n`);
  if (decision.matched.length > 0) process.stdout.write(`     matched ${decision.matched.join(", ")}\n`);
  if (decision.undecided.length > 0) {
    process.stdout.write(
      `     undecided, for a variable that the test does not give: ${decision.undecided.join(", ")}\n`,
    );
  }
}

function show(name: string): void {
  const { policy, errors } = loadPolicies([name], policySources("to show", "any"));
  if (policy === undefined) {
    printPolicyErrors(errors);
    throw new CommandError(exitCodes.usage, `${name} is broken`);
  }
  process.stdout.write(`${JSON.stringify(policy.resolved, null, 2)}\n`);
}

function line(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
