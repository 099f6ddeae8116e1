import { expect, test } from "bun:test";
import { join } from "node:path";

const source = join(import.meta.dir, "../../src/linux/pipe-writer.ts");

/** Runs `code` with a PipeWriter on its standard output, which `reader` reads. */
function run(code: string, reader: string): { readonly out: string; readonly code: string } {
  const script = `const { PipeWriter } = await import("${source}"); const output = new PipeWriter(); ${code}`;
  const { stdout, stderr } = Bun.spawnSync([
    "sh",
    "-c",
    `"$0" -e "$1" | ${reader}`,
    process.execPath,
    script,
  ]);
  return { out: stdout.toString(), code: stderr.toString() };
}

test("everything that was written arrives, however slow the reader is", () => {
  const { out } = run(
    'for (let i = 0; i < 9; i++) output.write("x".repeat(65536)); output.flush();',
    "{ sleep 0.3; wc -c; }",
  );
  expect(Number(out)).toBe(9 * 65_536);
});

test("once the reader has closed its end, flush returns false and further text is discarded", () => {
  const code = `
    for (let i = 0; i < 99 && !output.isClosed; i++) { output.write("line\\n".repeat(9999)); output.flush(); }
    output.write("more"); console.error(output.isClosed, output.flush());`;
  expect(run(code, "head -n 1")).toEqual({ out: "line\n", code: "true false\n" });
});
