import { expect, test } from "bun:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { firstStream, laterApk } from "./later-apk.ts";

const description = "pkgname = treewarden\npkgver = 0.1.0_git20261123033801-r0\narch = x86_64\n";
const content = gzipSync("the files");

test("the later package has a higher version of the same length, and the same content", () => {
  const later = laterApk(Buffer.concat([gzipSync(description), content]));
  const control = firstStream(later);
  expect(gunzipSync(control).toString()).toBe(description.replace("0.1.0", "9.1.0"));
  expect(Buffer.compare(later.subarray(control.length), content)).toBe(0);
});

test("a package without a version is refused", () => {
  expect(() => laterApk(Buffer.concat([gzipSync("pkgname = x\n"), content]))).toThrow(
    "must state its version",
  );
});
