// `treewarden supervisor`: what `treewarden run` becomes, and its standby.
import { continueSupervising } from "../supervisor/supervise.ts";

export async function supervisor(plan: string): Promise<void> {
  process.exitCode = await continueSupervising(plan);
}
