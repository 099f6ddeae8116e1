// What conditions on the network ask of the process alone. Processes of which all answers are equal cannot be told apart by
// them, so that they share what was made for one of them.
import { Compiler, type Evaluation } from "./compiler.ts";
import { asksNothingOfProcess, isLastingVariable } from "./denial-edges.ts";
import { type Expression, namesIn, namesTestedByMissing, partsOf } from "./expression.ts";
import { type Reader, readerOf, type Subject } from "./subject.ts";

export class ProcessQuestions {
  private readonly questions: readonly ((evaluation: Evaluation) => unknown)[];
  private readonly readers: readonly Reader[];
  private readonly evaluation: Evaluation;

  constructor(conditions: readonly Expression[]) {
    const asked = new Map<string, Expression>();
    for (const condition of conditions)
      for (const question of questionsIn(condition)) asked.set(JSON.stringify(question), question);
    const slots = new Map<string, number>();
    const slotOf = (name: string): number => {
      const slot = slots.get(name) ?? slots.size;
      slots.set(name, slot);
      return slot;
    };
    const compiler = new Compiler({ slotOf, isLate: () => false });
    // A rule of which a variable is absent is not asked, so that it matters which are.
    const names = new Set(conditions.flatMap((each) => [...namesIn(each), ...namesTestedByMissing(each)]));
    const lastingNames = [...names].filter(isLastingVariable);
    for (const name of lastingNames) slotOf(name);
    this.questions = [...asked.values()].map((question) => compiler.value(question));
    this.readers = lastingNames.map(readerOf);
    this.evaluation = {
      values: lastingNames.map(() => undefined),
      late: [],
      subject: undefined,
      ancestry: undefined,
    };
  }

  /** The answers of a process as a text. `subject`: what it does, of which only the process matters. */
  answersOf(subject: Subject): string {
    const { evaluation, readers } = this;
    evaluation.subject = subject;
    evaluation.ancestry = undefined;
    let absent = "";
    for (let i = 0; i < readers.length; i += 1) {
      const value = readers[i]?.(subject);
      evaluation.values[i] = value;
      absent += value === undefined ? "?" : ".";
    }
    const answers = this.questions.map((ask) => ask(evaluation));
    evaluation.subject = undefined;
    evaluation.ancestry = undefined;
    return absent + JSON.stringify(answers);
  }
}

/** The largest parts of a condition that depend on the process alone. */
function questionsIn(expression: Expression): readonly Expression[] {
  if (!expression.varies || asksNothingOfProcess(expression)) return [];
  if (dependsOnProcessAlone(expression)) return [expression];
  // The elements that the body of an iteration is about are not known outside of it.
  if (expression.is === "each") return atomsIn(expression);
  return partsOf(expression).flatMap(questionsIn);
}

function dependsOnProcessAlone(expression: Expression): boolean {
  if (expression.is === "variable") return isLastingVariable(expression.name);
  if (expression.is === "missing" || expression.is === "absent")
    return expression.names.every(isLastingVariable);
  return partsOf(expression).every(dependsOnProcessAlone);
}

/** The variables of the process, and whatever else is about it, one by one. */
function atomsIn(expression: Expression): readonly Expression[] {
  const isAtom = expression.is === "variable" || expression.is === "under" || expression.is === "tree";
  if (isAtom) return asksNothingOfProcess(expression) ? [] : [expression];
  if (expression.is === "missing") return [expression];
  return partsOf(expression).flatMap(atomsIn);
}
