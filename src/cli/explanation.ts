// What `treewarden explain` shows of a process or program: text for people, or a line of JSON.
import type { ExaminedFile } from "../fingerprint/examined-file.ts";
import type { Identification } from "../fingerprint/identify.ts";
import { RANDOM_FROM } from "../fingerprint/randomness.ts";
import type { Lineage } from "../forest/lineage.ts";
import { printable } from "../linux/text.ts";
import type { Decision } from "../policy/policy.ts";
import type { Subject } from "../policy/subject.ts";
import type { EventRecord } from "../report/event-record.ts";
import { endpointText } from "../report/network-fields.ts";

/** One thing explained. */
export interface Explanation {
  readonly steps: readonly string[];
  readonly identified: Identification | undefined;
  readonly subject: Subject;
  readonly decision: Decision;
  /** What the baseline knows of it; undefined if it was not asked. */
  readonly baseline: string | undefined;
  /** Whether its content was accepted; undefined if that was not asked. */
  readonly content: string | undefined;
  /** Whether the kernel can refuse what the verdict denies; undefined if it denies nothing. */
  readonly denial: string | undefined;
  readonly record: EventRecord;
  /** What the kernel lets it execute; empty if nothing is prevented, or nobody was asked. */
  readonly closed?: readonly string[];
}

/** Root to leaf. */
export function lineageOf(leaf: Lineage): Lineage[] {
  const nodes: Lineage[] = [];
  for (let node: Lineage | null = leaf; node !== null; node = node.parent) nodes.unshift(node);
  return nodes;
}

/** A line for each element: its score, what became of it, and why. */
export function elementLines({ elements, scores }: Identification): string[] {
  return elements.map(({ element, text, why }, at) => {
    const { score, why: because } = scores[at] ?? { score: 0, why: "" };
    const verdict = score >= RANDOM_FROM ? "random" : "not random";
    const folded = text === element ? "" : `; folded: ${why.join(", then ")}`;
    return `${element}: ${verdict}, ${score.toFixed(3)} (${because})${folded}`;
  });
}

export function explanationJson({ record, closed = [] }: Explanation): string {
  const whole = closed.length === 0 ? record : { ...record, "explain.prevention": closed };
  return `${JSON.stringify(whole)}\n`;
}

function ownerLine(examined: ExaminedFile | undefined): string | undefined {
  if (examined?.unpackaged === undefined) return undefined;
  if (examined.unpackaged) return "none: no package owns it";
  const content =
    examined.modified === undefined
      ? "whose content was not compared with that of the package"
      : examined.modified
        ? "modified: not as the package has it"
        : "as the package has it";
  return `${examined.package}, ${content}`;
}

export function explanationText({
  steps,
  identified,
  subject,
  decision,
  baseline,
  content,
  denial,
  closed = [],
}: Explanation): string {
  const { runnable, tree, lineage } = subject;
  const lines: string[] = [];
  const section = (title: string, content: readonly string[]): void => {
    lines.push(title);
    for (const line of content) lines.push(`  ${printable(line)}`);
  };
  section("executable", [runnable.executable ?? "not known"]);
  if (steps.length > 0) section("what it runs", steps);
  const owner = ownerLine(subject.examined);
  if (owner !== undefined) section("package of the executable", [owner]);
  section("runnable", [
    runnable.path ?? "not known",
    ...(runnable.script === undefined ? [] : [`script ${runnable.script}`]),
    ...(runnable.shellCommand
      ? ["a shell given its code by -c: as an ancestor it is left out of habits"]
      : runnable.inline
        ? ["code from an argument or standard input"]
        : []),
    ...(runnable.folded === undefined || runnable.folded === runnable.path
      ? []
      : [`folded ${runnable.folded}`]),
  ]);
  if (identified !== undefined) {
    section("path, element by element", elementLines(identified));
    section("base system", [identified.base.why]);
  }
  section("label", [
    runnable.label === runnable.name ? runnable.name : `${runnable.label} (exact: ${runnable.name})`,
  ]);
  const above = lineageOf(lineage);
  if (above.length > 1) {
    section(
      "lineage",
      above.map(
        ({ program, init }) => `${program.label}  ${program.path ?? ""}${init ? "  (pid 1: left out)" : ""}`,
      ),
    );
  }
  section("tree", [
    tree.path,
    `exact ${tree.exact}`,
    ...(tree.habit === tree.exact ? [] : [`habit ${tree.habit}`]),
    `id ${tree.id}`,
    ...(tree.complete ? [] : ["incomplete: not every link was seen"]),
  ]);
  if (baseline !== undefined) section("baseline", [baseline]);
  if (content !== undefined) section("content of the runnable", [content]);
  if (subject.kind !== "exec") section(subject.kind, [endpointText(subject.network)]);
  section("verdict", [
    `${decision.action}: ${decision.ruleset}/${decision.rule}`,
    ...(decision.matched.length > 0 ? [`matched ${decision.matched.join(", ")}`] : []),
    ...(decision.undecided.length > 0
      ? [`undecided, for lack of facts: ${decision.undecided.join(", ")}`]
      : []),
    ...(denial === undefined ? [] : [denial]),
  ]);
  if (closed.length > 0) section("what it may execute", closed);
  return `${lines.join("\n")}\n`;
}
