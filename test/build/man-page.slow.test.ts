import { expect, test } from "bun:test";
import { manPage } from "../../build/man-page.ts";

test("the manual page has every command and option, and no line that roff would take for a request", async () => {
  const page = await manPage();
  for (const text of [".SS run [options]", ".SS policy check", "\\-\\-enforcement <what>", ".SH EXIT STATUS"])
    expect(page).toContain(text);
  // The macros of man(7) that the page uses.
  const requests = /^\.(?:\\"|TH|SH|SS|TP|PP|B|I|BR|RI)(?: |$)/;
  for (const line of page.split("\n")) if (/^[.']/.test(line)) expect(line).toMatch(requests);
});

test.skipIf(Bun.which("groff") === null)("groff formats it without a warning", async () => {
  const { stderr, exitCode } = Bun.spawnSync(["groff", "-man", "-Tutf8", "-ww", "-z"], {
    stdin: Buffer.from(await manPage()),
  });
  expect(stderr.toString()).toBe("");
  expect(exitCode).toBe(0);
});
