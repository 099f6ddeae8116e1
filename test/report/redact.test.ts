import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createRedaction } from "../../src/report/redact.ts";
import { redactArguments } from "../../src/report/redaction/arguments.ts";
import { expectLinear } from "../cost.ts";

const key = "c0ffee1234567890c0ffee1234567890c0ffee12";

describe("a secret does not leave", () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ["hunter2", ["app", "--password", "hunter2"]],
    ["-hunter2", ["app", "--password", "-hunter2"]],
    ["hunter2", ["app", "--password=hunter2"]],
    ["hunter2", ["app", "--db.password=hunter2"]],
    ["hunter2", ["app", "--db-password", "hunter2", "--verbose"]],
    ["hunter2", ["app", "-p", "hunter2"]],
    ["hunter2", ["/usr/bin/mysql", "-phunter2", "-u", "root"]],
    ["hunter2", ["sshpass", "-p", "hunter2", "ssh", "host"]],
    ["hunter2", ["env", "GITHUB_TOKEN=hunter2", "make"]],
    ["hunter2", ["sh", "-c", "TOKEN=hunter2 ./deploy --now"]],
    ["hunter2", ["sh", "-c", "export AWS_SECRET_ACCESS_KEY='hunter2'; ./x"]],
    ["hunter2", ["psql", "postgres://app:hunter2@db/app"]],
    ["hunter2", ["git", "clone", "https://me:hunter2@example.com/x.git"]],
    ["hunter2", ["curl", "-u", "me:hunter2", "https://example.com"]],
    ["hunter2", ["curl", "-H", "Authorization: Bearer hunter2hunter2", "https://example.com"]],
    ["hunter2", ["curl", "-H", "X-Api-Key: hunter2"]],
    ["hunter2", ["curl", "https://example.com/?api_key=hunter2&page=2"]],
    ["hunter2", ["app", '{"password": "hunter2", "user": "me"}']],
    ["hunter2", ["curl", "-uadmin:hunter2", "https://example.com"]],
    ["hunter2", ["curl", "-sSfu", "admin:hunter2", "https://example.com"]],
    ["hunter2", ["curl", "--user=admin:hunter2", "https://example.com"]],
    ["hunter2", ["sh", "-c", "mysql -phunter2 shop"]],
    ["hunter2", ["sh", "-c", "curl -u a:hunter2 https://example.com | tee log"]],
    ["hunter2", ["bash", "-lc", "cd /srv && curl -u 'a:hunter2 hunter2' x"]],
    ["hunter2", ["ssh", "host", "sudo", "mysql", "-phunter2"]],
    ["hunter2", ["redis-cli", "-h", "db", "-a", "hunter2", "ping"]],
    ["hunter2", ["docker", "exec", "db", "redis-cli", "-a", "hunter2"]],
    ["hunter2", ["docker", "login", "-u", "me", "-p", "hunter2"]],
    ["hunter2", ["ldapsearch", "-x", "-D", "cn=admin", "-w", "hunter2"]],
    ["hunter2", ["ldapsearch", "-xw", "hunter2"]],
    ["hunter2", ["smbclient", "-U", "me%hunter2", "//host/share"]],
    ["hunter2", ["smbclient", "-Ume%hunter2", "//host/share"]],
    ["hunter2", ["app", "--password=a&b;c hunter2"]],
    ["hunter2", ["app", '{"password": "a\\"b hunter2"}']],
    ["hunter2", ["psql", "postgres://app:a@hunter2@db/app"]],
    ["hunter2", ["keytool", "-storepass", "hunter2"]],
    ["AKIAIOSFODNN7EXAMPLE", ["aws", "AKIAIOSFODNN7EXAMPLE"]],
    ["ghp_abcdefghijklmnopqrstuvwxyz0123456789", ["x", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"]],
    ["eyJhbGciOiJIUzI1NiJ9", ["x", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def"]],
    ["wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", ["x", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"]],
    ["MIIEvQ", ["x", "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----"]],
  ];
  for (const [secret, args] of cases) {
    test(args.join(" ").slice(0, 70), () => {
      expect(redactArguments(args).join(" ")).not.toContain(secret);
    });
  }
});

describe("what is no secret stays readable", () => {
  const cases: readonly (readonly string[])[] = [
    ["mkdir", "-p", "/srv/www"],
    ["ssh", "-p", "2222", "host"],
    ["ls", "-l", "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1"],
    ["gcc", "-pthread", "-O2", "main.c"],
    ["find", "/", "-print"],
    ["nginx", "-g", "daemon off;"],
    ["java", "-XX:+HeapDumpOnOutOfMemoryError", "-Dfile.encoding=UTF-8"],
    ["/usr/lib/systemd/systemd", "--switched-root", "--system", "--deserialize=31"],
    ["dpkg", "--configure", "linux-image-6.1.0-18-amd64"],
    ["app", "--some-very-long-option-name-with-many-words-in-it=yes"],
    ["kubelet", "--container-runtime-endpoint=unix:///run/containerd/containerd.sock"],
    ["git", "log", "--author", "somebody"],
    ["compass", "--compass=north"],
    ["git", "show", key],
    ["app", "--connect", key],
    ["git", "rev-list", `${key}..${key}`],
    ["sh", "-c", `cd /srv && git checkout -q ${key}`],
    ["./deploy", "--commit", key],
    ["env", `GIT_COMMIT=${key}`, "make"],
    ["docker", "exec", `${key}${key.slice(0, 24)}`, "ls"],
    ["runc", "--root", "/run/runc", "start", `${key}${key.slice(0, 24)}`],
    ["tail", `/var/lib/docker/containers/${key}${key.slice(0, 24)}/config.json`],
    ["app", `shop@sha256:${key}${key.slice(0, 24)}`],
    ["docker", "run", "-p", "127.0.0.1:8080:80", "-u", "1000:1000", "nginx"],
    ["date", "-u", "+%H:%M"],
    ["psql", "--no-password", "shop"],
    ["mysql", "-uapp", "shop"],
    ["sh", "-c", "mkdir -p /srv/www; ssh -p 2222 host"],
  ];
  for (const args of cases)
    test(args.join(" ").slice(0, 70), () => expect(redactArguments(args)).toEqual([...args]));
});

test("only the secret goes: the name of the option and the rest of the text stay", () => {
  expect(redactArguments(["sh", "-c", "TOKEN=abc ./deploy --now"])).toEqual([
    "sh",
    "-c",
    "TOKEN=[redacted] ./deploy --now",
  ]);
  expect(redactArguments(["psql", "postgres://app:pw@db/app"])).toEqual([
    "psql",
    "postgres://app:[redacted]@db/app",
  ]);
});

test("own patterns are RE2's, and a wrong one is refused", () => {
  const redact = createRedaction("redacted", ["CUST-[0-9]+"]);
  expect(redact({ "process.command_args": ["x", "for CUST-4711"] })).toEqual({
    "process.command_args": ["x", "for [redacted]"],
  });
  expect(() => createRedaction("redacted", ["(?=a)"])).toThrow();
});

test("`full` keeps arguments, `off` has none, and the joined command line never leaves", () => {
  const record = {
    "process.command_args": ["a", "--password", "b"],
    "process.command_line": "a --password b",
  };
  expect(createRedaction("full", [])(record)).toEqual({ "process.command_args": ["a", "--password", "b"] });
  expect(createRedaction("off", [])(record)).toEqual({});
  expect(createRedaction("redacted", [])(record)).toEqual({
    "process.command_args": ["a", "--password", "[redacted]"],
  });
});

describe("no secret word survives", () => {
  // Marked, so that no word of the command contains it.
  const secret = fc
    .tuple(fc.stringMatching(/^[A-Za-z0-9!@#^*+.,~_-]{1,12}$/), fc.stringMatching(/^[a-z0-9]{1,6}$/))
    .map(([before, after]) => `${before}Zq9${after}`);
  const user = fc.constantFrom("root", "app", "me");
  const form = fc.constantFrom<(secret: string, user: string) => string[]>(
    (word) => ["mysql", `-p${word}`, "shop"],
    (word) => ["/usr/bin/mysqldump", "-uroot", `-p${word}`],
    (word) => ["sshpass", "-p", word, "ssh", "host"],
    (word) => ["app", "-p", word],
    (word) => ["app", "--password", word],
    (word) => ["app", `--db-password=${word}`],
    (word) => ["app", "--api-key", word, "--verbose"],
    (word) => ["env", `API_TOKEN=${word}`, "make"],
    (word, name) => ["curl", "-u", `${name}:${word}`, "https://example.com"],
    (word, name) => ["curl", `-u${name}:${word}`],
    (word, name) => ["curl", "-sku", `${name}:${word}`],
    (word, name) => ["curl", `--user=${name}:${word}`],
    (word, name) => ["curl", "--proxy-user", `${name}:${word}`],
    (word) => ["redis-cli", "-a", word, "ping"],
    (word) => ["redis-cli", "--pass", word],
    (word) => ["ldapsearch", "-x", "-w", word],
    (word) => ["ldapsearch", `-w${word}`],
    (word) => ["ldapwhoami", "-xw", word],
    (word, name) => ["smbclient", "-U", `${name}%${word}`, "//host/share"],
    (word, name) => ["smbclient", `-U${name}%${word}`],
    (word, name) => ["rpcclient", `--user=${name}%${word}`],
    (word) => ["mongosh", "-p", word],
    (word) => ["7z", "x", `-p${word}`, "a.7z"],
    (word) => ["zip", "-P", word, "a.zip"],
    (word) => ["snmpwalk", "-c", word, "host"],
    (word, name) => ["http", "-a", `${name}:${word}`, "example.com"],
  );
  const prefix = fc.constantFrom<string[]>(
    [],
    ["sudo"],
    ["timeout", "5"],
    ["nice", "-n", "5"],
    ["docker", "exec", "db"],
  );
  const command = fc
    .tuple(prefix, form, secret, user)
    .map(([before, make, word, name]) => ({ secret: word, args: [...before, ...make(word, name)] }));

  const quoted = (word: string): string => `'${word}'`;
  const plain = (word: string): string => (/^[A-Za-z0-9/=:%.,@_+-]+$/.test(word) ? word : quoted(word));

  function expectHidden(args: readonly string[], word: string): void {
    expect(redactArguments(args).join(" ")).not.toContain(word);
  }

  test("in the arguments of a program, behind whatever starts it", () => {
    fc.assert(
      fc.property(command, ({ args, secret }) => expectHidden(args, secret)),
      { numRuns: 2_000 },
    );
  });

  test("in the text of a shell, among other commands, quoted or not", () => {
    const shell = fc.constantFrom(
      ["sh", "-c"],
      ["bash", "-lc"],
      ["ssh", "host"],
      ["su", "-", "app", "-c"],
      ["watch"],
    );
    const around = fc.constantFrom<(text: string) => string>(
      (text) => text,
      (text) => `cd /srv && ${text}`,
      (text) => `${text} | tee log`,
      (text) => `if true; then ${text}; fi`,
      (text) => `(${text}) &`,
      (text) => `X=1 exec ${text} > log 2>&1`,
      (text) => `echo "$(${text})"`,
    );
    const quote = fc.constantFrom(plain, quoted);
    fc.assert(
      fc.property(command, shell, around, quote, ({ args, secret }, before, wrap, quotes) =>
        expectHidden([...before, wrap(args.map(quotes).join(" "))], secret),
      ),
      { numRuns: 2_000 },
    );
  });

  test("in a text that a shell hands to another one", () => {
    fc.assert(
      fc.property(command, ({ args, secret }) => {
        const inner = args.map(plain).join(" ");
        fc.pre(!inner.includes("'"));
        expectHidden(["ssh", "host", `sh -c '${inner}'`], secret);
        expectHidden(["sh", "-c", `ssh host "sh -c '${inner}'"`], secret);
      }),
      { numRuns: 1_000 },
    );
  });
});

test("no argument can make it slow", () => {
  for (const piece of ["a", "token", "://", "x=", "a:@", "'", "\"a b' ", "-p ", "$(", 'password="']) {
    expectLinear((size) => {
      const text = piece.repeat(Math.ceil(size / piece.length));
      redactArguments(["sh", "-c", text, text]);
    }, 4_000);
  }
  // Beyond 4,096 characters nothing is looked at.
  expectLinear((size) => redactArguments(["x", ...Array.from({ length: size }, () => "token=")]), 2_000);
});

test("the number of arguments never changes, whatever they are", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string(), fc.constantFrom("-p", "--password", "-u", "--token"))),
      (args) => {
        expect(redactArguments(args).length).toBe(args.length);
      },
    ),
  );
});

describe("an environment variable", () => {
  const record = {
    "process.environment_variable.LD_PRELOAD": "/tmp/x.so",
    "process.environment_variable.API_TOKEN": "hunter2",
    "process.environment_variable.NODE_OPTIONS": "--require /srv/x.js --password=hunter2 C:\\\\x",
  };

  test("loses its secrets like an argument, and a path stays as it is", () => {
    const safe = createRedaction("redacted", ["x\\.js"])(record);
    expect(safe).toEqual({
      "process.environment_variable.LD_PRELOAD": "/tmp/x.so",
      "process.environment_variable.API_TOKEN": "[redacted]",
      "process.environment_variable.NODE_OPTIONS": "--require /srv/[redacted] --password=[redacted] C:\\\\x",
    });
  });

  test("leaves with the arguments or not at all", () => {
    expect(createRedaction("full", [])(record)).toEqual(record);
    expect(createRedaction("off", [])(record)).toEqual({});
  });
});

test("a record without a secret stays the same object, so that its text need not be made again", () => {
  const redact = createRedaction("redacted", []);
  const parent = JSON.stringify({ "process.pid": 7, "process.command_args": ["sh", "-c", "make all"] });
  const record = {
    "tree.path": "/x",
    "process.command_args": ["a\\\\b", "-v"],
    "process.ancestors": [parent],
  };
  expect(redact(record)).toBe(record);
  const secret = { ...record, "process.command_args": ["app", "--password", "hunter2"] };
  expect(redact(secret)["process.command_args"]).toEqual(["app", "--password", "[redacted]"]);
  expect(secret["process.command_args"]).toContain("hunter2");
  const off = createRedaction("off", [])(record);
  expect(off).toEqual({ "tree.path": "/x", "process.ancestors": [JSON.stringify({ "process.pid": 7 })] });
});
