import { expect, test } from "bun:test";
import fc from "fast-check";
import { BasicAuth } from "../../src/reporter/basic-auth.ts";

/** Stand-ins for hashes; `passwords` says what each was made of. */
const users = {
  scraper: "$2y$04$HASH1",
  other: "$2y$05$HASH2",
};
const passwords: Readonly<Record<string, string>> = {
  [users.scraper]: "opensesame",
  [users.other]: "swordfish",
};

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
  for (let i = 0; i < 100; i += 1) expect(await auth.check(basic("scraper", "opensesame"))).toBe("accepted");
  expect(compared).toEqual(["opensesame"]);
});

test("equal requests at once are compared once", async () => {
  const { auth, compared } = rig();
  const all = await Promise.all(Array.from({ length: 50 }, () => auth.check(basic("scraper", "opensesame"))));
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
  for (const header of headers) expect([header, await auth.check(header)]).toEqual([header, "refused"]);
});

test("an unknown user's password is compared too, so that the time does not show who is known", async () => {
  const { auth, compared } = rig();
  await auth.check(basic("nobody", "guess"));
  expect(compared).toEqual(["guess"]);
});

test("guesses are limited to ten at once and one a second, and do not shut out who was accepted before", async () => {
  const { auth, compared, clock } = rig();
  expect(await auth.check(basic("scraper", "opensesame"))).toBe("accepted");
  const guesses: string[] = [];
  for (let i = 0; i < 100; i += 1) guesses.push(await auth.check(basic("scraper", `guess ${i}`)));
  expect(guesses.filter((each) => each === "refused").length).toBe(9);
  expect(guesses.filter((each) => each === "too many").length).toBe(91);
  expect(compared.length).toBe(10);
  expect(await auth.check(basic("scraper", "opensesame"))).toBe("accepted");
  clock.ms += 3_000;
  for (let i = 0; i < 100; i += 1) await auth.check(basic("other", `guess ${i}`));
  expect(compared.length).toBe(13);
});

test("a password beyond the 72 bytes that bcrypt reads is refused without a comparison", async () => {
  const { auth, compared } = rig();
  expect(await auth.check(basic("scraper", "x".repeat(73)))).toBe("refused");
  expect(compared).toEqual([]);
});

test("a comparison that fails with an error refuses", async () => {
  const auth = new BasicAuth({ users, verify: () => Promise.reject(new Error("InvalidEncoding")) });
  expect(await auth.check(basic("scraper", "opensesame"))).toBe("refused");
});

test("any header is read without an error, and only the right one is accepted", async () => {
  const { auth, clock } = rig();
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "binary", maxLength: 100 }), async (header) => {
      clock.ms += 1_000;
      for (const each of [header, `Basic ${header}`, basic(header, header)])
        expect(await auth.check(each)).not.toBe("accepted");
    }),
  );
});
