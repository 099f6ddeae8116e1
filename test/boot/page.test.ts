import { describe, expect, test } from "bun:test";
import { kernelsPage, parseBoot, withKernels } from "./page.ts";

const kernel = (name: string, lines: string, test = "whole"): string => `kernel\t${name}\t${test}\n${lines}`;
const passed = parseBoot(
  kernel(
    "6.12.107+deb13-cloud-amd64",
    "ok\tboots\tLinux, multi-user after 11 s\nok\tremoved\ta | b\nended\n",
  ),
);
const older = parseBoot(kernel("5.10.0-46-cloud-amd64", "ok\tboots\t\nended\n", "quick"));
const failed = parseBoot(
  kernel("7.3.4+deb13-cloud-amd64", "ok\tboots\t\nfailed\ta reload takes effect\tno\nended\n"),
);
const cut = parseBoot(kernel("6.1.0-50-cloud-arm64", "ok\tboots\t\n"));
const alpine = parseBoot(kernel("6.18.56-0-virt", "ok\tboots\t\nended\n", "alpine"));
const readme = "before\n<!-- kernels: written by test/boot/run -->\nold.\n<!-- end of kernels -->\nafter\n";

describe("docs/kernels.md", () => {
  test("has a row for each kernel, ordered by version, with what failed", () => {
    const rows = kernelsPage([failed, alpine, cut, passed, older])
      .split("\n")
      .filter((line) => /^\| \d/.test(line));
    expect(rows).toEqual([
      "| 5.10.0-46-cloud-amd64 | quick | 1 of 1 | none |",
      "| 6.12.107+deb13-cloud-amd64 | whole | 2 of 2 | none |",
      "| 6.18.56-0-virt | alpine | 1 of 1 | none |",
      "| 7.3.4+deb13-cloud-amd64 | whole | 1 of 2 | a reload takes effect |",
      "| 6.1.0-50-cloud-arm64 | whole | 1 of 1 | it did not end |",
    ]);
  });

  test("shows what each step saw, whatever it is", () => {
    expect(kernelsPage([passed])).toContain("| removed | ok | a \\| b |");
    expect(kernelsPage([failed])).toContain("| a reload takes effect | **failed** | no |");
  });
});

describe("the README's list", () => {
  test("names the kernels on which every step passed", () => {
    expect(withKernels(readme, [failed, alpine, passed, cut, older])).toBe(
      readme.replace("old.", "5.10 on x86-64, 6.12 on x86-64, 6.18 on x86-64."),
    );
  });

  test("says so if there is none", () => {
    expect(withKernels(readme, [failed])).toContain("\nnone yet.\n");
  });

  test("has its marks in the README", async () => {
    const text = await Bun.file(`${import.meta.dir}/../../README.md`).text();
    expect(withKernels(text, [passed])).toContain("\n6.12 on x86-64.\n");
  });
});
