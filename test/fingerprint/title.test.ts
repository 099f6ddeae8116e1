// A title that an interpreter writes over its command line names its script to a scan, and nothing that its arguments could
// not have named.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { createIdentifier } from "../../src/fingerprint/identify.ts";
import type { RunnableFacts } from "../../src/fingerprint/runnable.ts";
import { identifyRunning } from "../../src/fingerprint/title.ts";
import { unknownFacts } from "../../src/sensor/event.ts";

const identify = createIdentifier();

function running(
  executable: string,
  args: readonly string[],
  more: Partial<RunnableFacts> = {},
): RunnableFacts {
  const place = { executable, executableMemfd: false, cwd: "/", executableTrusted: true };
  return { ...unknownFacts, ...place, args, ...more };
}

/** What a scan that knows nothing of the process makes of it. */
function found(executable: string, args: readonly string[], more?: Partial<RunnableFacts>) {
  return identifyRunning(identify, running(executable, args, more), undefined);
}

/** A command line over which `title` was written. */
const titled = (title: string): string[] => [title, "", "", ""];

test.each([
  ["/usr/bin/node", "npm run job", "npm", "/usr/bin/npm"],
  ["/usr/bin/node", "npm", "npm", "/usr/bin/npm"],
  ["/usr/bin/ruby3.1", "puma 5.6.5 (tcp://0.0.0.0:9292) [app]", "puma", "/usr/bin/puma"],
  ["/usr/bin/node", "node /srv/app/server.js", "server.js", "/srv/app/server.js"],
])("%s with the title %j is %s", (executable, title, name, path) => {
  expect(found(executable, titled(title))).toMatchObject({ name, path, script: path });
});

test.each([
  ["/usr/bin/python3.11", "gunicorn: master [app]"],
  ["/usr/bin/node", "/tmp/x"],
  ["/usr/bin/node", "../x"],
])("%s with the title %j is the interpreter: that names no program beside it", (executable, title) => {
  expect(found(executable, titled(title))).toMatchObject({ path: executable, script: undefined });
});

test("a title that needed all the room of the arguments is one text with blanks", () => {
  expect(found("/usr/bin/node", ["npm run job"]).path).toBe("/usr/bin/npm");
  // An interpreter of another name may be without arguments.
  expect(found("/usr/bin/node", ["npm"]).path).toBe("/usr/bin/node");
});

test("an exec has no title yet: what stands there is what its caller gave it", () => {
  expect(identify(running("/usr/bin/node", titled("npm run job"))).path).toBe("/usr/bin/node");
});

test("only an interpreter that root alone can write is named by its title, and no shell", () => {
  const own = { executableTrusted: false };
  expect(found("/home/u/bin/node", titled("npm run job"), own).path).toBe("/home/u/bin/node");
  expect(found("/usr/bin/bash", titled("backup now")).path).toBe("/usr/bin/bash");
  expect(found("/usr/sbin/nginx", titled("master process")).path).toBe("/usr/sbin/nginx");
});

test("what events reported stands, as long as the executable is the same", () => {
  const server = identify(running("/usr/bin/python3.11", ["python3", "/srv/venv/bin/gunicorn", "app"]));
  const seenAgain = (executable: string, more?: Partial<RunnableFacts>) =>
    identifyRunning(identify, running(executable, titled("gunicorn: master [app]"), more), server);
  expect(seenAgain("/usr/bin/python3.11")).toBe(server);
  expect(seenAgain("/usr/bin/perl").path).toBe("/usr/bin/perl");
  expect(seenAgain("/usr/bin/python3.11", { userMounts: true })).not.toBe(server);
  expect(seenAgain("/usr/bin/python3.11", { executableTrusted: false })).not.toBe(server);
});

test("a hostile title makes of a process only what arguments of its choice make of it", () => {
  const executable = fc.constantFrom("/usr/bin/node", "/usr/bin/python3.11", "/home/u/node", "/usr/bin/bash");
  const words = fc.array(
    fc.constantFrom("npm", "node", "-e", "--", "/etc/x.js", "../x", "é", "x:", "sh", "-"),
    {
      maxLength: 4,
    },
  );
  const text = fc.oneof(
    fc.string(),
    words.map((parts) => parts.join(" ")),
  );
  fc.assert(
    fc.property(executable, text, fc.boolean(), fc.boolean(), (path, title, trusted, mounts) => {
      const more = { executableTrusted: trusted, userMounts: mounts };
      const made = found(path, titled(title), more);
      const first = title.split(" ")[0] ?? "";
      const folder = path.slice(0, path.lastIndexOf("/"));
      const possible = [[path], titled(title), title.split(" "), [path, `${folder}/${first}`]].map(
        (args) => identify(running(path, args, more)).key,
      );
      expect(possible).toContain(made.key);
    }),
    { numRuns: 2_000 },
  );
});
