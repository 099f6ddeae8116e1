import { expect, test } from "bun:test";
import fc from "fast-check";
import { BasicAuth } from "../../src/reporter/basic-auth.ts";

/** Stand-ins for hashes; `passwords` says what each was made of. */
const users = {
  scraper: "$2y$04$HASH1",
  other: "$2y$04$HASH2",
};
const passwords: Readonly<Record<string, string>> = {
  [users.scraper]: "opensesame",
  [users.other]: "swordfish",
};

const ADDRESS = "192.0.2.1";

/** A header as clients send it. */
function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

function rig() {
  const compared: string[] = [];
  const clock = { ms: 0 };
  const auth = new BasicAuth({
    users,
    now: () => clock.ms,
    verify: async (password, hash) => {
      compared.push(password);
      await Promise.resolve();
      return passwords[hash] === password;
    },
  });
  return { auth, compared, clock };
}

test("the right password is accepted, and compared once only", async () => {
  const { auth, compared } = rig();
  for (let i = 0; i < 100; i += 1)
    expect(await auth.check(basic("scraper", "opensesame"), ADDRESS)).toBe("accepted");
  expect(compared).toEqual(["opensesame"]);
});

test("equal requests at once are compared once", async () => {
  const { auth, compared } = rig();
  const all = await Promise.all(
    Array.from({ length: 50 }, () => auth.check(basic("scraper", "opensesame"), ADDRESS)),
  );
  expect(new Set(all)).toEqual(new Set(["accepted"]));
  expect(compared.length).toBe(1);
});

test("a wrong password, another user's, an unknown user and no header are refused", async () => {
  const { auth } = rig();
  const headers = [
    basic("scraper", "wrong"),
    basic("scraper", "swordfish"),
    basic("nobody", "opensesame"),
    basic("", ""),
    "Basic",
    "Basic !!!",
    "Bearer abc",
    `Basic ${Buffer.from("scraper").toString("base64")}`,
    "",
    null,
  ];
  for (const header of headers)
    expect([header, await auth.check(header, ADDRESS)]).toEqual([header, "refused"]);
});

test("an unknown user's password is compared too, so that the time does not show who is known", async () => {
  const { auth, compared } = rig();
  await auth.check(basic("nobody", "guess"), ADDRESS);
  expect(compared).toEqual(["guess"]);
});

test("a wrong password takes as long for each known user as for an unknown one", async () => {
  let spent = 0;
  const auth = new BasicAuth({
    users: { cheap: "$2y$04$HASH", usual: "$2y$10$HASH", expensive: "$2y$12$HASH" },
    // The work of a comparison: 2 to the power of the cost (bcrypt's 4th field).
    verify: async (_password, hash) => {
      spent += 2 ** Number(hash.split("$")[2]);
      return false;
    },
  });
  for (const user of ["cheap", "usual", "expensive", "nobody"]) {
    spent = 0;
    expect(await auth.check(basic(user, "wrong"), ADDRESS)).toBe("refused");
    expect([user, spent]).toEqual([user, 2 ** 12]);
  }
});

test("guesses are limited to ten at once and one a second, and do not shut out who was accepted before", async () => {
  const { auth, compared, clock } = rig();
  expect(await auth.check(basic("scraper", "opensesame"), ADDRESS)).toBe("accepted");
  const guesses: string[] = [];
  for (let i = 0; i < 100; i += 1) guesses.push(await auth.check(basic("scraper", `guess ${i}`), ADDRESS));
  expect(guesses.filter((each) => each === "refused").length).toBe(9);
  expect(guesses.filter((each) => each === "too many").length).toBe(91);
  expect(compared.length).toBe(10);
  expect(await auth.check(basic("scraper", "opensesame"), ADDRESS)).toBe("accepted");
  clock.ms += 3_000;
  for (let i = 0; i < 100; i += 1) await auth.check(basic("other", `guess ${i}`), ADDRESS);
  expect(compared.length).toBe(13);
});

test("wrong passwords from one address do not keep out the right one from another", async () => {
  const { auth } = rig();
  for (let i = 0; i < 100; i += 1) await auth.check(basic("scraper", `guess ${i}`), "192.0.2.1");
  expect(await auth.check(basic("scraper", "opensesame"), "192.0.2.1")).toBe("too many");
  expect(await auth.check(basic("scraper", "opensesame"), "192.0.2.2")).toBe("accepted");
});

test.each([
  ["2001:db8::1", "2001:db8::ffff:2", true],
  ["2001:db8::1", "2001:db8:0:1::1", false],
  ["::ffff:192.0.2.1", "::ffff:192.0.2.2", false],
])("guesses from %p count for %p, too: %p", async (first, second, areShared) => {
  const { auth } = rig();
  for (let i = 0; i < 10; i += 1) await auth.check(basic("scraper", `guess ${i}`), first);
  expect(await auth.check(basic("scraper", "opensesame"), second)).toBe(areShared ? "too many" : "accepted");
});

test("one address has two comparisons under way, and all together have four", async () => {
  const { auth, compared } = rig();
  const flood = Array.from({ length: 40 }, (_, i) =>
    auth.check(basic("scraper", `guess ${i}`), i < 20 ? "192.0.2.1" : `192.0.2.${i}`),
  );
  expect(compared).toEqual(["guess 0", "guess 1", "guess 20", "guess 21"]);
  await Promise.all(flood);
  expect(await auth.check(basic("scraper", "opensesame"), "192.0.2.1")).toBe("accepted");
});

test("a password beyond the 72 bytes that bcrypt reads is refused without a comparison", async () => {
  const { auth, compared } = rig();
  expect(await auth.check(basic("scraper", "x".repeat(73)), ADDRESS)).toBe("refused");
  expect(compared).toEqual([]);
});

test("a comparison that fails with an error refuses", async () => {
  const auth = new BasicAuth({ users, verify: () => Promise.reject(new Error("InvalidEncoding")) });
  expect(await auth.check(basic("scraper", "opensesame"), ADDRESS)).toBe("refused");
});

test("any header is read without an error, and only the right one is accepted", async () => {
  const { auth, clock } = rig();
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "binary", maxLength: 100 }), async (header) => {
      clock.ms += 1_000;
      for (const each of [header, `Basic ${header}`, basic(header, header)])
        expect(await auth.check(each, ADDRESS)).not.toBe("accepted");
    }),
  );
});
