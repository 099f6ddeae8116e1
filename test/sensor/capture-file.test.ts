import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CaptureFile } from "../../src/sensor/capture/capture-file.ts";

const folder = mkdtempSync(join(tmpdir(), "treewarden-capture-file-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("the file of a capture", () => {
  test("can be read by its owner alone, since it holds arguments", () => {
    const path = join(folder, "new");
    using file = new CaptureFile(path);
    file.write(Uint8Array.of(1));
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("is made where an empty file is, and its mode is made right", () => {
    const path = join(folder, "empty");
    writeFileSync(path, "", { mode: 0o644 });
    using file = new CaptureFile(path);
    file.write(Uint8Array.of(1));
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("never overwrites anything", () => {
    const path = join(folder, "precious");
    writeFileSync(path, "precious");
    expect(() => new CaptureFile(path)).toThrow(/not overwritten/);
    expect(readFileSync(path, "utf8")).toBe("precious");
  });

  test("is not made where a symbolic link leads", () => {
    const link = join(folder, "link");
    symlinkSync(join(folder, "elsewhere"), link);
    expect(() => new CaptureFile(link)).toThrow();
    expect(existsSync(join(folder, "elsewhere"))).toBe(false);
  });
});
