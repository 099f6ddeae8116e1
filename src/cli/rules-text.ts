/** For a person: "1 rule", "8 rules". */
export function rulesText(rules: number): string {
  return rules === 1 ? "1 rule" : `${rules} rules`;
}
