import { expect, test } from "bun:test";
import {
  capabilityNames,
  capabilityNumber,
  ownCapabilities,
  parseCapabilities,
} from "../../src/linux/capabilities.ts";

test("capabilities have the numbers of linux/capability.h", () => {
  expect(capabilityNames.length).toBe(41);
  expect(capabilityNumber("CAP_KILL")).toBe(5);
  expect(capabilityNumber("CAP_NET_ADMIN")).toBe(12);
  expect(capabilityNumber("CAP_SYS_PTRACE")).toBe(19);
  expect(capabilityNumber("CAP_BPF")).toBe(39);
});

test("the masks of status become names", () => {
  const status =
    "Name:\tCapEff:\\t1\nCapInh:\t0\nCapPrm:\t0000000000081004\nCapEff:\t0000000000001000\nCapBnd:\t000001ffffffffff\n";
  const parsed = parseCapabilities(status);
  expect([...parsed.effective]).toEqual(["CAP_NET_ADMIN"]);
  expect([...parsed.permitted]).toEqual(["CAP_DAC_READ_SEARCH", "CAP_NET_ADMIN", "CAP_SYS_PTRACE"]);
  expect(parsed.bounding.size).toBe(41);
});

test("capabilities that have no name yet are left out", () => {
  expect([...parseCapabilities("CapEff:\t0000020000000001\n").effective]).toEqual(["CAP_CHOWN"]);
});

test("a process that is not permitted a capability does not have it in effect", () => {
  const own = ownCapabilities();
  for (const name of own.effective) expect(own.permitted.has(name)).toBe(true);
});
