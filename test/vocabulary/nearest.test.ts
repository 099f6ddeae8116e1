import { expect, test } from "bun:test";
import { nearest } from "../../src/vocabulary/nearest.ts";
import { judgedNames } from "../../src/vocabulary/variables.ts";

test("a slip of the hand is understood", () => {
  expect(nearest("kil", ["allow", "alert", "kill"])).toBe("kill");
  expect(nearest("hihg", ["low", "medium", "high", "critical"])).toBe("high");
  expect(nearest("SEVERTIY", ["severity", "rule"])).toBe("severity");
  expect(nearest("process.exectuable.name", judgedNames)).toBe("process.executable.name");
  expect(nearest("process.uesr.id", judgedNames)).toBe("process.user.id");
  expect(nearest("tree.exat", judgedNames)).toBe("tree.exact");
});

test("another name is not taken for one, however much both begin alike", () => {
  expect(nearest("event.time", judgedNames)).toBeUndefined();
  expect(nearest("process.cpu", judgedNames)).toBeUndefined();
  expect(nearest("on", ["or", "in", "if"])).toBe("or");
  expect(nearest("deny", ["allow", "alert", "kill"])).toBeUndefined();
});
