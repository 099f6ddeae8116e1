// A verdict that was recorded is decided again as it was, by the tests of the roles that come with treewarden.
import { describe, expect, test } from "bun:test";
import { identify } from "../../src/fingerprint/identify.ts";
import type { Lineage } from "../../src/forest/lineage.ts";
import { recordedSubject, recordsOfEntry } from "../../src/offline/recorded-subject.ts";
import { embeddedPolicies } from "../../src/policy/embedded.ts";
import { loadPolicies } from "../../src/policy/load.ts";
import { decide } from "../../src/policy/policy.ts";
import type { Subject } from "../../src/policy/subject.ts";
import { testSubject } from "../../src/policy/test-lineage.ts";
import type { EventRecord } from "../../src/report/event-record.ts";
import { records } from "../../src/report/records.ts";
import { recordUids } from "../../src/report/stamp.ts";
import { defaultEnvironmentNames } from "../../src/vocabulary/environment.ts";
import { entry } from "../baseline/samples.ts";

const stamp = recordUids(new Uint8Array(5));

/** What the journal has of it: the record of the exec with its ancestors. */
function recordOf(subject: Subject): EventRecord {
  const ancestors: string[] = [];
  for (let node: Lineage | null = subject.lineage.parent; node !== null; node = node.parent) {
    const { program, uid, init } = node;
    ancestors.unshift(
      JSON.stringify({
        ...(init ? { "process.pid": 1 } : {}),
        "process.user.id": uid,
        "process.runnable.path": program.path,
        ...(program.executable === program.path ? {} : { "process.executable.path": program.executable }),
      }),
    );
  }
  const exec = records.exec(subject, "tree.new", stamp, { "process.ancestors": ancestors });
  return subject.facts.environment === undefined ? exec : { ...exec, "process.environment_truncated": false };
}

const options = {
  identify,
  environmentNames: defaultEnvironmentNames,
  knowledgeOf: (record: EventRecord) => {
    const { "tree.known": known } = record;
    return known === null || typeof known === "boolean" ? { known, familiar: known } : {};
  },
};

for (const role of embeddedPolicies.keys())
  describe(`the tests of the role ${role}`, () => {
    const { policy, role: loaded } = loadPolicies([role], {
      read: () => undefined,
      embedded: embeddedPolicies,
      searchPath: [],
      environmentNames: defaultEnvironmentNames,
    });
    if (policy === undefined) throw new Error(`${role} is broken`);
    for (const each of loaded.file.tests ?? [])
      test(each.name, () => {
        const subject = testSubject(each);
        const again = recordedSubject(recordOf(subject), options);
        if (again === undefined) throw new Error("there is no tree");
        const { action, rule } = decide(policy, subject);
        expect(decide(policy, again)).toMatchObject({ action, rule });
      });
  });

test("a record without a tree has no subject", () => {
  expect(recordedSubject({ "event.name": "policy.loaded" }, options)).toBeUndefined();
});

test("an entry of a baseline is judged by its tree, its unit and its executables, and by nothing it does not have", () => {
  const [record = {}] = recordsOfEntry({
    ...entry("/nginx/sh", { scope: "nginx.service" }),
    executables: [{ path: "/usr/bin/dash", package: "dash", modified: false, digest: undefined }],
  });
  const subject = recordedSubject(record, options);
  expect(subject).toMatchObject({
    unit: "nginx.service",
    runnable: { executable: "/usr/bin/dash" },
    examined: { package: "dash", unpackaged: false },
    facts: { cwd: undefined, tty: undefined, environment: undefined },
  });
  expect(subject?.lineage.parent?.program.executableName).toBe("nginx");
});
