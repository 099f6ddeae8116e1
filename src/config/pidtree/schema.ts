// The configuration file of pidtree-bcc (Yelp/pidtree-bcc 2.7.0, example_config.yml and README.md), as far as it is
// converted. Keys that are not known are kept, so that the conversion can name them.
import * as v from "valibot";
import { parseIpv4 } from "../../vocabulary/ip-address.ts";
import { parsePortRange } from "../../vocabulary/port-ranges.ts";

const mustBe = (what: string): string => `must be ${what}`;

const list = <const Item extends v.GenericSchema>(item: Item, what: string) =>
  v.array(item, mustBe(`a list of ${what}`));

const port = v.pipe(
  v.union([v.number(), v.string()], mustBe('a port or a range such as "30000-40000"')),
  v.check((value) => parsePortRange(value) !== undefined, mustBe('a port or a range such as "30000-40000"')),
);
const ports = v.optional(v.nullable(list(port, "ports")));
const flag = v.optional(v.boolean(mustBe("True or False")));

const ipv4 = v.pipe(
  v.string(mustBe("an IPv4 address")),
  v.check((text) => parseIpv4(text) !== undefined, mustBe("an IPv4 address")),
);

/** The bits in front of a mask such as 255.240.0.0; undefined if its ones are not all in front. */
export function prefixOfMask(mask: string): number | undefined {
  const bits = (parseIpv4(mask) ?? []).map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return /^1*0*$/.test(bits) && bits !== "" ? bits.replaceAll("0", "").length : undefined;
}

const filter = v.looseObject(
  {
    network: ipv4,
    network_mask: v.pipe(
      ipv4,
      v.check((mask) => prefixOfMask(mask) !== undefined, mustBe("a mask such as 255.240.0.0")),
    ),
    except_ports: ports,
    include_ports: ports,
  },
  mustBe("a filter with network and network_mask"),
);
export type PidtreeFilter = v.InferOutput<typeof filter>;

const plugin = v.nullable(
  v.looseObject(
    {
      enabled: flag,
      hostfiles: v.optional(list(v.string(mustBe("a file")), "files")),
    },
    mustBe("the settings of a plugin"),
  ),
);

const common = {
  filters: v.optional(v.nullable(list(filter, "filters"))),
  excludeports: ports,
  includeports: ports,
  container_labels: v.optional(v.nullable(list(v.string(mustBe("text")), "labels"))),
  plugins: v.optional(v.nullable(v.record(v.string(), plugin, mustBe("a map of plugins")))),
};

const probe = v.looseObject(
  { ...common, session_max_duration: v.optional(v.nullable(v.number(mustBe("a number of seconds")))) },
  mustBe("the settings of a probe"),
);
const listenProbe = v.looseObject(
  {
    ...common,
    snapshot_periodicity: v.optional(v.nullable(v.number(mustBe("a number of seconds")))),
    protocols: v.optional(list(v.string(mustBe("tcp or udp")), "protocols")),
    same_namespace_only: flag,
    exclude_random_bind: flag,
  },
  mustBe("the settings of a probe"),
);

export type PidtreeProbe = v.InferOutput<typeof probe>;
export type PidtreeListenProbe = v.InferOutput<typeof listenProbe>;

const emptyIsDefault = <const Schema extends v.GenericSchema>(schema: Schema) =>
  v.optional(
    v.pipe(
      v.unknown(),
      v.transform((value) => value ?? {}),
      schema,
    ),
  );

/** Keys that begin with `_` hold parts that others refer to; any other key is a probe. */
export const pidtreeSchema = v.looseObject(
  {
    tcp_connect: emptyIsDefault(probe),
    udp_session: emptyIsDefault(probe),
    net_listen: emptyIsDefault(listenProbe),
  },
  mustBe("a map of probes"),
);
export type PidtreeConfig = v.InferOutput<typeof pidtreeSchema>;
