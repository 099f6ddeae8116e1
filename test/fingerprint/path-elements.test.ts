// What naming a program costs whoever chooses its name: each new element of a path is read once.
import { describe, expect, test } from "bun:test";
import { createIdentifier } from "../../src/fingerprint/identify.ts";
import type { RunnableFacts } from "../../src/fingerprint/runnable.ts";

function running(executable: string, uid = 1000): RunnableFacts {
  return {
    executable,
    executableMemfd: false,
    filename: executable,
    script: undefined,
    args: [executable],
    cwd: "/",
    uid,
  };
}

/** Identifies programs; `scored` counts the names that were read, `allowed` is how many may be. */
function counting(allowed = Number.POSITIVE_INFINITY) {
  const asked: (number | undefined)[] = [];
  const identify = createIdentifier({
    mayScore: (uid) => {
      asked.push(uid);
      return asked.length <= allowed;
    },
  });
  return { identify, asked };
}

const deep = `/home/mallory/${Array.from({ length: 40 }, (_, i) => `folder${i}`).join("/")}`;

describe("a program with a new name", () => {
  test("costs one name where its directory is known, however deep that is", () => {
    const { identify, asked } = counting();
    identify(running(`${deep}/first`));
    expect(asked.length).toBe(43);
    identify(running(`${deep}/second`));
    expect(asked.length).toBe(44);
  });

  test("costs nothing if the name is known from another directory", () => {
    const { identify, asked } = counting();
    identify(running("/opt/one/server"));
    const before = asked.length;
    identify(running("/opt/server/one"));
    expect(asked.length).toBe(before);
  });

  test("is what it is in each directory: a shape that is made in one only is folded there", () => {
    const { identify } = counting();
    expect(identify(running("/srv/durable/b001")).name).toBe("b001");
    expect(identify(running("/tmp/go-build123/b001")).name).toBe("b*");
    expect(identify(running("/srv/durable2/b001")).name).toBe("b001");
  });

  test("looks random where mktemp makes such names, and not elsewhere", () => {
    const { identify } = counting();
    expect(identify(running("/tmp/tmp.a1B2c3")).random).toBe(true);
    expect(identify(running("/opt/x/tmp.a1B2c3")).random).toBe(false);
  });
});

describe("a program whose user has made too many new names", () => {
  test("keeps its label, and counts as random", () => {
    const { identify, asked } = counting(3);
    identify(running("/home/mallory/tool"));
    const beyond = identify(running("/home/mallory/implant"));
    expect(beyond).toMatchObject({
      name: "implant",
      random: true,
      randomness: expect.closeTo(1, 3),
      unscored: true,
    });
    expect(asked).toEqual([1000, 1000, 1000, 1000]);
  });

  test("leaves the names that are known as they are", () => {
    const { identify } = counting(3);
    const known = identify(running("/usr/bin/ls"));
    identify(running("/usr/bin/another"));
    expect(identify(running("/usr/bin/ls"))).toBe(known);
    expect(identify(running("/usr/ls/bin"))).toMatchObject({ random: false, unscored: false });
  });

  test("says nothing about its neighbours in the path", () => {
    const { identify } = counting(2);
    expect(identify(running("/srv/releases/q8Zk3vXw2L")).folded).toBe("/srv/releases/q8Zk3vXw2L");
  });

  test("is scored the next time that the user may have names scored", () => {
    let allowed = false;
    const identify = createIdentifier({ mayScore: () => allowed });
    expect(identify(running("/srv/app")).unscored).toBe(true);
    allowed = true;
    expect(identify(running("/srv/app"))).toMatchObject({ unscored: false, random: false });
  });
});
