// What `run` lets verdicts do, by configuration file and command line.
import { describe, expect, test } from "bun:test";
import { armedErrors, enforcementOf, whyOnlyObserved } from "../../src/cli/enforcement.ts";
import { policyOf } from "../policy/helpers.ts";

const file = "/etc/treewarden/config.yaml";

describe("enforcement: kill in the configuration file", () => {
  test("acts by the rules that `armed` names", () => {
    const settings = { enforcement: "kill", armed: ["web/shell"], armed_since_hours: 168 } as const;
    const mutable = { ...settings, armed: [...settings.armed] };
    expect(enforcementOf(mutable, undefined, file)).toEqual(mutable);
  });

  test("only observes without `armed`, and says so, whatever the command line asks", () => {
    for (const asked of [undefined, "kill"] as const) {
      const settings = { enforcement: "kill", armed: undefined, armed_since_hours: 168 } as const;
      expect(enforcementOf(settings, asked, file).enforcement).toBe("observe");
      expect(whyOnlyObserved(settings, asked, file)).toBe(
        `enforcement kill needs \`armed\` in ${file}: until then treewarden only observes`,
      );
    }
  });

  test("yields to --enforcement observe", () => {
    const settings = { enforcement: "kill", armed: "all", armed_since_hours: 168 } as const;
    expect(enforcementOf(settings, "observe", file).enforcement).toBe("observe");
    expect(whyOnlyObserved(settings, "observe", file)).toBeUndefined();
  });
});

test("--enforcement kill without a configuration file arms every rule, and none waits to be confirmed", () => {
  const settings = { enforcement: "observe", armed: undefined, armed_since_hours: 168 } as const;
  expect(enforcementOf(settings, "kill", undefined)).toEqual({
    enforcement: "kill",
    armed: "all",
    armed_since_hours: 0,
  });
});

test("a pattern that fits no rule is an error with the nearest rule", () => {
  const when = { "==": [{ var: "process.executable.name" }, "dash"] };
  const policy = policyOf([{ id: "shell", when, action: "kill" }]);
  expect(armedErrors({ armed: ["role/shel"] }, policy, file)).toEqual([
    {
      file,
      line: 0,
      column: 0,
      message: "armed: no rule matches role/shel",
      fix: "did you mean role/shell?",
    },
  ]);
});
