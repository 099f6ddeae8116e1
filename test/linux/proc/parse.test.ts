import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseCgroup } from "../../../src/linux/proc/cgroup.ts";
import { parseArguments } from "../../../src/linux/proc/cmdline.ts";
import { readDecimals } from "../../../src/linux/proc/decimal.ts";
import { makeDevice } from "../../../src/linux/proc/read.ts";
import { PF_KTHREAD, parseStat } from "../../../src/linux/proc/stat.ts";
import { hasNoProgramYet } from "../../../src/linux/proc/statm.ts";
import { mayBeInExec, parseStatus } from "../../../src/linux/proc/status.ts";
import { parseTerminalDrivers, terminalName } from "../../../src/linux/proc/terminal.ts";
import { encodeText } from "../../../src/linux/text.ts";

function of<T>(parse: (bytes: Uint8Array, length: number) => T, text: string): T {
  const bytes = encodeText(text);
  return parse(bytes, bytes.length);
}

// /proc/PID/stat of a bash on Linux 6.18, from its state on.
const tail =
  "S 812 901 812 34816 1207 4194304 1524 9204 0 3 1 2 10 6 20 0 1 0 6021 8093696 1037 18446744073709551615 " +
  "94205262249984 94205263196561 140727043283584 0 0 0 65536 3686404 1266761467 1 0 0 17 1 0 0 0 0 0 94205263434352 " +
  "94205263482180 94205274509312 140727043286510 140727043286516 140727043286516 140727043289070 0\n";

describe("stat", () => {
  test("gives parent, terminal, flags, threads and start", () => {
    expect(of(parseStat, `901 (bash) ${tail}`)).toEqual({
      comm: "bash",
      state: "S",
      parentPid: 812,
      ttyNumber: 34816,
      flags: 4194304,
      threads: 1,
      startTicks: 6021,
    });
  });

  test("a name may hold parentheses, blanks, newlines and what looks like the fields behind it", () => {
    const names = ["tmux: server", ") Z 1 (", "a) S 1 2 3", "\n", "((", "))", "", "\udcff\udc80"];
    for (const comm of names) {
      expect(of(parseStat, `901 (${comm}) ${tail}`)).toMatchObject({
        comm,
        parentPid: 812,
        startTicks: 6021,
      });
    }
  });

  test("any name gives the same numbers", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 15 }), (name) => {
        const bytes = new Uint8Array([...encodeText("901 ("), ...name, ...encodeText(`) ${tail}`)]);
        expect(parseStat(bytes, bytes.length)).toMatchObject({
          parentPid: 812,
          threads: 1,
          startTicks: 6021,
        });
      }),
    );
  });

  test("any bytes give a value or a failure that names the file, never an exception", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const parsed = parseStat(bytes, bytes.length);
        expect("failure" in parsed ? parsed.file : typeof parsed.startTicks).toBe(
          "failure" in parsed ? "stat" : "number",
        );
      }),
    );
  });

  test("a file cut short is a failure, wherever it was cut before the start time", () => {
    const text = `901 (bash) ${tail}`;
    const complete = text.indexOf(" 6021");
    for (let length = 0; length <= complete; length += 1) {
      expect(of(parseStat, text.slice(0, length))).toMatchObject({ failure: "malformed" });
    }
  });

  test("bytes behind the length are not read", () => {
    const bytes = encodeText(`901 (bash) ${tail}) X 7`);
    expect(parseStat(bytes, bytes.length - 5)).toMatchObject({ comm: "bash", parentPid: 812 });
  });

  test("kthreadd is a kernel thread", () => {
    // /proc/2/stat of Linux 6.18.
    const parsed = of(
      parseStat,
      "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 0 0 0 1844 0 0\n",
    );
    expect("flags" in parsed && (parsed.flags & PF_KTHREAD) !== 0).toBe(true);
  });
});

describe("status", () => {
  const text =
    "Name:\tUid:\\t7\\n\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t901\nPPid:\t812\nUid:\t1000\t0\t0\t0\nGid:\t1000\t33\t33\t33\nNStgid:\t901\t7\nThreads:\t3\n";

  test("gives real and effective users, effective group, threads and the pids of inner namespaces", () => {
    expect(of(parseStatus, text)).toEqual({
      realUid: 1000,
      uid: 0,
      gid: 33,
      threads: 3,
      namespacePids: [901, 7],
    });
  });

  test("tells a process that may be within execve(2): it has memory and no program yet, or cannot be interrupted", () => {
    const withMemory = (vmExe: string, state = "S (sleeping)") =>
      `Name:\tbash\nState:\t${state}\nVmSize:\t       4 kB\nVmExe:\t${vmExe} kB\nVmLib:\t       0 kB\n`;
    expect(of(mayBeInExec, withMemory("       0"))).toBe(true);
    expect(of(mayBeInExec, withMemory("       4", "D (disk sleep)"))).toBe(true);
    expect(of(mayBeInExec, withMemory("       4"))).toBe(false);
    expect(of(mayBeInExec, withMemory("      40"))).toBe(false);
    // A zombie and a kernel thread have no memory.
    expect(of(mayBeInExec, "Name:\tkworker\nState:\tI (idle)\nThreads:\t1\n")).toBe(false);
  });

  test("without a line it needs it is a failure that names the line", () => {
    expect(of(parseStatus, text.replace("Gid:\t", "Xid:\t"))).toMatchObject({ reason: "no line Gid" });
  });
});

test("statm tells a process whose memory has no program yet", () => {
  expect(of(hasNoProgramYet, "1 1 0 0 0 1 0\n")).toBe(true);
  expect(of(hasNoProgramYet, "2000 300 200 12 0 80 0\n")).toBe(false);
  // A zombie and a kernel thread have no memory.
  expect(of(hasNoProgramYet, "0 0 0 0 0 0 0\n")).toBe(false);
});

describe("cgroup", () => {
  test("the unified path is taken", () => {
    expect(of(parseCgroup, "0::/system.slice/nginx.service\n")).toBe("/system.slice/nginx.service");
  });

  test("a unified root gives way to systemd's own hierarchy", () => {
    expect(of(parseCgroup, "9:name=systemd:/docker/4f2e\n8:pids:/docker/4f2e\n0::/\n")).toBe("/docker/4f2e");
  });

  test("a hierarchy of another name is not systemd's", () => {
    expect(of(parseCgroup, "9:name=elogind:/1\n8:pids:/a:name=systemd:/b\n")).toBeUndefined();
  });

  test("a path may hold colons", () => {
    expect(of(parseCgroup, "0::/a:b:c\n")).toBe("/a:b:c");
  });
});

describe("cmdline", () => {
  test("arguments end at NUL bytes and may be empty or hold newlines", () => {
    expect(of(parseArguments, "sh\0-c\0echo a\nb\0\0")).toEqual(["sh", "-c", "echo a\nb", ""]);
  });

  test("a title that a process wrote itself needs no NUL", () => {
    expect(of(parseArguments, "nginx: worker process")).toEqual(["nginx: worker process"]);
  });

  test("no bytes are no arguments", () => {
    expect(of(parseArguments, "")).toEqual([]);
  });

  test("whatever was passed comes back", () => {
    const argument = fc
      .uint8Array({ maxLength: 20 })
      .map((bytes) => bytes.filter((byte) => byte !== 0))
      // The decoder drops a byte order mark; see text.ts.
      .filter((bytes) => bytes[0] !== 0xef);
    fc.assert(
      fc.property(fc.array(argument, { minLength: 1, maxLength: 6 }), (list) => {
        const bytes = new Uint8Array(list.flatMap((each) => [...each, 0]));
        const back = parseArguments(bytes, bytes.length).map((text) => encodeText(text));
        expect(back.map((each) => [...each])).toEqual(list.map((each) => [...each]));
      }),
    );
  });
});

describe("terminals", () => {
  // /proc/tty/drivers of Linux 6.18.
  const drivers = parseTerminalDrivers(`/dev/tty             /dev/tty        5       0 system:/dev/tty
/dev/console         /dev/console    5       1 system:console
/dev/ptmx            /dev/ptmx       5       2 system
serial               /dev/ttyS       4      64 serial
pty_slave            /dev/pts      136 0-1048575 pty:slave
pty_master           /dev/ptm      128 0-1048575 pty:master
unknown              /dev/tty        4 1-63 console
`);

  test("are named as below /dev", () => {
    expect(terminalName(0x8800, drivers)).toBe("pts/0");
    expect(terminalName(0x0401, drivers)).toBe("tty1");
    expect(terminalName(0x0440, drivers)).toBe("ttyS0");
    expect(terminalName(0x0501, drivers)).toBe("console");
  });

  test("have minors beyond eight bits", () => {
    expect(terminalName(0x10_8801, drivers)).toBe("pts/257");
  });

  test("no terminal is null, one without a driver unknown", () => {
    expect(terminalName(0, drivers)).toBeNull();
    expect(terminalName(0xcc40, drivers)).toBeUndefined();
  });
});

describe("decimals", () => {
  test("are read up to what is none", () => {
    const into = new Float64Array(5);
    expect(readDecimals(encodeText("1 -2\t3 x4"), 0, 9, into)).toBe(3);
    expect([...into]).toEqual([1, -2, 3, 0, 0]);
  });

  test("printed numbers come back", () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), (list) => {
        const bytes = encodeText(list.join(" "));
        const into = new Float64Array(list.length);
        expect(readDecimals(bytes, 0, bytes.length, into)).toBe(list.length);
        expect([...into]).toEqual(list.map((value) => value + 0));
      }),
    );
  });
});

test("a device number is put together as stat(2) does", () => {
  expect(makeDevice(8, 1)).toBe(0x801);
  expect(makeDevice(0x103, 0x12345)).toBe(0x1231_0345);
  expect(makeDevice(0x1fff, 0)).toBe(0x1000 * 2 ** 32 + 0xfff00);
});
