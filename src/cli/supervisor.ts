// `treewarden supervisor`, which `treewarden run` executes, and `treewarden standby`: internal.
import { continueSupervising } from "../supervisor/continue-supervising.ts";

export async function supervisor(plan: string): Promise<void> {
  process.exitCode = await continueSupervising(plan);
}
