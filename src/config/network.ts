// The schema of the section `network`: which events of the network are watched, and what is left out of them.
import * as v from "valibot";
import { eitherOf } from "../vocabulary/error-text.ts";
import { networkKinds } from "../vocabulary/event-kinds.ts";
import { canonicalNetwork, parseNetwork } from "../vocabulary/ip-network.ts";
import { joinedRanges, parsePortRange } from "../vocabulary/port-ranges.ts";
import { absolutePath, choiceOf, durationBetween, listOf, mustBe, section } from "./schema-parts.ts";

/** Networks of one section: each is an entry of a map in the kernel, of at most 60 bytes. */
const MOST_NETWORKS = 4_096;
/** The programs in the kernel compare a port with this many ranges of a network (the verifier bounds their loop). */
export const MOST_PORT_RANGES = 8;
const MOST_FILES = 64;

const network = v.pipe(
  v.string(mustBe("a network such as 10.0.0.0/8 or fd00::/8")),
  v.check((text) => parseNetwork(text) !== undefined, mustBe("a network such as 10.0.0.0/8 or fd00::/8")),
);

const portMessage = mustBe('a port or a range such as "30000-40000"');
const ports = listOf(
  v.pipe(
    v.union([v.number(), v.string()], portMessage),
    v.check((value) => parsePortRange(value) !== undefined, portMessage),
  ),
  "ports",
);

/** Ports of one network: a few, since each of them costs a comparison for every event. */
const fewPorts = v.pipe(
  ports,
  v.check(
    (list) => joinedRanges(list.flatMap((each) => parsePortRange(each) ?? [])).length <= MOST_PORT_RANGES,
    `must have at most ${MOST_PORT_RANGES} ranges of ports`,
  ),
);

const ignoredNetworks = v.pipe(
  section({
    networks: listOf(network, "networks"),
    ports: v.optional(fewPorts),
    except_ports: v.optional(fewPorts),
  }),
  v.check(
    (entry) => entry.ports === undefined || entry.except_ports === undefined,
    "must have ports or except_ports, not both",
  ),
);

/** A network alone, or networks with the ports that are ignored or excepted. */
const ignoredEntry = v.lazy((value) => (typeof value === "string" ? network : ignoredNetworks));

const transports = ["tcp", "udp"] as const;
const everyTransport = v.optional(
  v.pipe(
    listOf(choiceOf(...transports), `transports, ${eitherOf(transports)}`),
    v.nonEmpty("must not be empty"),
  ),
  [...transports],
);

/** What each section has. */
const common = {
  ignore_networks: v.optional(
    v.pipe(
      listOf(ignoredEntry, "networks"),
      v.check(
        (list) => networksIn(list).length <= MOST_NETWORKS,
        `must have at most ${MOST_NETWORKS} networks`,
      ),
      v.check(
        (list) => repeatedNetwork(list) === undefined,
        ({ input }) => `must have each network once, not ${repeatedNetwork(input)} twice`,
      ),
    ),
    [],
  ),
  ignore_ports: v.optional(ports, []),
  only_ports: v.optional(ports),
  loopback: v.optional(v.boolean(mustBe("true or false")), false),
};

type IgnoredEntry = string | { readonly networks: readonly string[] };

function networksIn(list: readonly IgnoredEntry[]): readonly string[] {
  return list.flatMap((each) => (typeof each === "string" ? [each] : each.networks));
}

/** A network that stands twice, in whatever notation: it is not clear which of the two entries should hold. */
function repeatedNetwork(list: readonly IgnoredEntry[]): string | undefined {
  const seen = new Set<string>();
  return networksIn(list).find((text) => {
    const parsed = parseNetwork(text);
    if (parsed === undefined) return false;
    const { address, prefix } = canonicalNetwork(parsed);
    const key = `${address.join()}/${prefix}`;
    if (seen.has(key)) return true;
    seen.add(key);
    return false;
  });
}

const watchedKinds = v.pipe(v.array(choiceOf(...networkKinds)), v.nonEmpty("must not be empty"));
const watchWords = ["rules", "off"] as const;

export const networkEntries = {
  watch: v.optional(
    v.lazy((value) =>
      Array.isArray(value)
        ? watchedKinds
        : v.picklist(watchWords, mustBe(`rules, off, or a list of ${eitherOf(networkKinds)}`)),
    ),
    "rules",
  ),
  connect: v.optional(section({ transports: everyTransport, ...common }), {}),
  send: v.optional(
    section({
      ...common,
      max_duration: v.optional(
        v.lazy((value) => (value === "off" ? v.literal("off") : durationBetween("1s", "30d", "2m"))),
        "off",
      ),
    }),
    {},
  ),
  listen: v.optional(
    section({
      transports: everyTransport,
      ...common,
      random_ports: v.optional(v.boolean(mustBe("true or false")), true),
      host_namespace_only: v.optional(v.boolean(mustBe("true or false")), false),
      snapshot_interval: v.optional(
        v.lazy((value) => (value === "off" ? v.literal("off") : durationBetween("1m", "30d", "12h"))),
        "1h",
      ),
    }),
    {},
  ),
  learn_destinations: v.optional(v.boolean(mustBe("true or false")), false),
  host_files: v.optional(
    v.pipe(
      listOf(absolutePath, "files"),
      v.maxLength(MOST_FILES, ({ input }) => `must have at most ${MOST_FILES} files, not ${input.length}`),
    ),
    [],
  ),
};
