// Processes that are denied networks, through the sensor alone: what tests of the kernel's answers have in common.
import type { Transport } from "../../src/sensor/event.ts";
import type { DeniedNetwork, DeniedProcess, NetworkDenials } from "../../src/sensor/network/denial.ts";
import type { IgnoredPorts } from "../../src/sensor/network/filters.ts";
import type { NetworkKind } from "../../src/vocabulary/event-kinds.ts";
import { parseNetwork } from "../../src/vocabulary/ip-network.ts";
import { Actor, ActorFolder, NetworkWatch } from "./network-watch.ts";

const everyPort: IgnoredPorts = { mode: "except", ranges: [] };

export function denied(
  text: string,
  kind: NetworkKind = "connect",
  transport: Transport = "tcp",
  ports = everyPort,
): DeniedNetwork {
  const network = parseNetwork(text);
  if (network === undefined) throw new Error(text);
  return { kind, transport, network, ports };
}

/** A sensor whose denials act, and actors to deny something. */
export class DenyingWatch implements Disposable {
  readonly watch = new NetworkWatch();
  readonly denials: NetworkDenials;
  private readonly folder = new ActorFolder();
  private lastSet = 0;

  constructor() {
    const { denials } = this.watch.sensor;
    if (denials === undefined) throw new Error("no denials");
    this.denials = denials;
    denials.setEpoch(1);
    denials.enforceEpoch();
  }

  start(): Promise<Actor> {
    return Actor.start(this.folder.actor);
  }

  /** A new set with these networks. */
  setOf(...networks: readonly DeniedNetwork[]): number {
    this.lastSet += 1;
    this.denials.define(this.lastSet, networks);
    return this.lastSet;
  }

  /** The process as it was judged at its last exec. */
  judged({ pid }: Actor): DeniedProcess {
    const { facts, execId } = this.watch.exec(pid);
    return { pid, startTicks: facts.startTicks ?? 0, execId };
  }

  [Symbol.dispose](): void {
    this.watch[Symbol.dispose]();
    this.folder[Symbol.dispose]();
  }
}

/** The errno of each command. */
export async function results(actor: Actor, ...commands: string[]): Promise<readonly number[]> {
  const errnos: number[] = [];
  for (const command of commands) errnos.push((await actor.do(command)).errno);
  return errnos;
}
