// Names of addresses from files in the format of hosts(5).
import { formatAddress, parseIpv4, parseIpv6 } from "../../vocabulary/ip-address.ts";
import { mappedIpv4 } from "../../vocabulary/ip-network.ts";
import type { Steps } from "../../vocabulary/steps.ts";

/** The canonical name of each address, by the text that sensors report. */
export type HostNames = ReadonlyMap<string, string>;

/** Lines that are parsed in one step: some 0.1 ms. */
const LINES_PER_STEP = 256;
/** The longest name of DNS (RFC 1035, 2.3.4). Longer ones are left out. */
const LONGEST_NAME = 253;

/**
 * Adds what `text` names to `names`; of two lines for one address the later one holds. Lines that hosts(5) would not
 * understand are left out, as the C library leaves them out.
 */
export function* addingHostNames(names: Map<string, string>, text: string): Steps<void> {
  let lines = 0;
  for (const line of text.split("\n")) {
    const [literal = "", name = ""] = line.replace(/#.*/s, "").trim().split(/\s+/, 2);
    const address = parseIpv4(literal) ?? parseIpv6(literal);
    if (address !== undefined && name !== "" && name.length <= LONGEST_NAME)
      names.set(formatAddress(mappedIpv4(address) ?? address), name);
    lines += 1;
    if (lines % LINES_PER_STEP === 0) yield;
  }
}
