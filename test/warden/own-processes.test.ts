import { expect, test } from "bun:test";
import { Baseline } from "../../src/baseline/baseline.ts";
import { mailTrees } from "../../src/warden/own-processes.ts";
import { lineage } from "../baseline/lineages.ts";

const scope = "treewarden.service";

function knows(within: string, ...programs: readonly string[]): boolean | null | undefined {
  const baseline = new Baseline();
  const sendmail = "/usr/sbin/exim4";
  for (const entry of mailTrees({ scope, name: "treewarden", sendmail })) baseline.add(entry);
  return baseline.knowledge(lineage(...programs), within, 0).known;
}

const treewarden = "/usr/bin/treewarden";

test("the reporter's sendmail, and what that starts to hand its mail over, is known", () => {
  expect(knows(scope, treewarden, "/usr/sbin/sendmail")).toBe(true);
  expect(knows(scope, treewarden, "/usr/sbin/exim4")).toBe(true);
  expect(knows(scope, treewarden, "/usr/sbin/sendmail", "/usr/sbin/postdrop")).toBe(true);
  expect(knows(scope, "/usr/bin/sudo", treewarden, "/usr/sbin/sendmail")).toBe(true);
});

test("anything else below treewarden, or the same elsewhere, is not", () => {
  expect(knows(scope, treewarden, "/usr/bin/dash")).toBe(false);
  expect(knows(scope, treewarden, "/usr/sbin/sendmail", "/usr/bin/dash")).toBe(false);
  expect(knows(scope, treewarden, "/tmp/sendmail")).toBe(false);
  expect(knows("nginx.service", treewarden, "/usr/sbin/sendmail")).toBe(false);
  expect(knows(scope, "/usr/sbin/nginx", "/usr/sbin/sendmail")).toBe(false);
});
