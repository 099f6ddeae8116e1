// What doctor says of the network, by what the kernel lets a sensor attach.
import { expect, test } from "bun:test";
import { checkNetworkOf } from "../../../src/cli/doctor/network.ts";
import { parseConfig } from "../../../src/config/config-file.ts";
import type { DeniedNetwork, NetworkDenials } from "../../../src/sensor/network/denial.ts";

const result = parseConfig("{}", "config.yaml");
if (!result.ok) throw new Error("the configuration must be valid");
const { network } = result.config;

/** Finds at the first denial, as a sensor does, whether the kernel takes the program that judges packets. */
function denialsOf(refusal: string | undefined, defined: DeniedNetwork[] = []): NetworkDenials {
  let problem: string | undefined;
  return {
    isInherited: false,
    renewed: 0,
    full: 0,
    get problem() {
      return problem;
    },
    check() {},
    define(_, networks) {
      defined.push(...networks);
      problem = refusal;
    },
    remove() {},
    assign: () => true,
    beat() {},
    awaitPrograms() {},
    setEpoch() {},
    enforceEpoch() {},
  };
}

test("doctor names what evades denials where the kernel refuses the program that judges packets", () => {
  const problem = "packets with a source route evade what is denied: eBPF: the verifier refuses it";
  expect(checkNetworkOf({ denials: denialsOf(problem) }, network)).toEqual({
    name: "network",
    status: "missing",
    detail: problem,
  });
});

test("doctor denies nothing while it tries it", () => {
  const defined: DeniedNetwork[] = [];
  expect(checkNetworkOf({ denials: denialsOf(undefined, defined) }, network).status).toBe("ok");
  expect(defined.map(({ ports }) => ports)).toEqual([{ mode: "only", ranges: [] }]);
});
