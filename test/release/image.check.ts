// The image of a release in a container with the rights that packaging/kubernetes gives it: npm run test:release. Needs
// root and runc.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { capabilitiesOf, processRoles } from "../../src/hardening/privileges.ts";
import { capabilityBits } from "../../src/linux/capabilities.ts";
import { readPodSpec } from "../packaging/daemon-set.ts";
import { freePort } from "../ports.ts";
import { Container } from "./container.ts";
import { fileOf, host } from "./release-files.ts";

setDefaultTimeout(120_000);

const port = freePort();
const pod = readPodSpec();
let folder = "";
let container: Container;

beforeAll(async () => {
  if (host === undefined) throw new Error("a release has nothing for this processor");
  folder = mkdtempSync(join(tmpdir(), "treewarden-image-check-"));
  expect(Bun.spawnSync(["tar", "-xf", fileOf("-image.tar"), "-C", folder]).exitCode).toBe(0);
  container = await Container.start({
    pod,
    layout: folder,
    architecture: host.go,
    configuration: {
      "config.yaml": `policies: [base]\nevents: all\nmetrics: { listen: "127.0.0.1:${port}" }\n`,
    },
  });
});

afterAll(async () => {
  await container[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Starts a program twice a second until disposed. */
function startRepeatedly(program: string): Disposable {
  Bun.spawnSync([program]);
  const timer = setInterval(() => Bun.spawnSync([program]), 500);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

test("it sees what the host starts outside of the container, by eBPF", async () => {
  const program = join(folder, `marker-${process.pid}`);
  copyFileSync("/bin/true", program);
  // On a busy host plain execs may be left out of the records for a time (`load.shed`), so it is started again.
  using _ = startRepeatedly(program);
  const isExec = (record: Readonly<Record<string, unknown>>): boolean =>
    record["event.name"] === "process.exec" && record["process.executable.path"] === program;
  expect(await container.record("the host's program", isExec)).toMatchObject({
    "sensor.source": "ebpf",
    "process.in_container": false,
  });
});

test("it reads the configuration that the pod mounts, and lacks no right", async () => {
  const { status } = await fetch(`http://127.0.0.1:${port}/healthz`);
  expect(status).toBe(200);
  expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
  // Messages about missing rights name the capability.
  expect(container.messages).not.toContain("CAP_");
});

test("its state is on the host, where the next pod finds it", () => {
  expect(readdirSync(container.volume("state"))).toContain("boot.json");
});

test("none of its processes has a capability beyond those of the pod, or can gain one", () => {
  const mode = {
    source: "auto",
    enforcement: "observe",
    network: true,
    mail: false,
    setIdMail: false,
    evidence: false,
    exports: false,
  } as const;
  const allowed = capabilityBits(processRoles.flatMap((role) => [...capabilitiesOf(role, mode)]));
  const statuses = container.statuses();
  // Supervisor, standby, warden and reporter; the examiner comes and goes.
  expect(statuses.length).toBeGreaterThanOrEqual(4);
  for (const status of statuses) {
    expect(status).toContain("NoNewPrivs:\t1");
    expect(status).toContain("Seccomp:\t2");
    const bounding = BigInt(`0x${/^CapBnd:\t([0-9a-f]+)$/m.exec(status)?.[1]}`);
    expect(bounding & ~allowed).toBe(0n);
  }
});
