// nginx and PostgreSQL as their packages have them, learned and closed by `--enforcement prevent`: what an intruder starts
// dies, and neither their ordinary life nor upgrades of their packages by apt-get under load are refused anything.
//   npm run check:upgrades -- [--upgrades 20] [--requests 10000] [--jobs 10000] [--tries 20] [--shells 200]
// As root, on a host that does not matter, with Debian's nginx and postgresql. Some ten minutes.
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import {
  type Attack,
  attacksByCopy,
  attacksOnNginx,
  attacksOnPostgres,
  busyCode,
  Writers,
} from "./attacks.ts";
import { ClosedServers } from "./closed-servers.ts";
import { Latency } from "./latency.ts";
import { UpgradablePackages } from "./packages.ts";

const { values } = parseArgs({
  options: {
    upgrades: { type: "string", default: "20" },
    requests: { type: "string", default: "10000" },
    jobs: { type: "string", default: "10000" },
    tries: { type: "string", default: "20" },
    shells: { type: "string", default: "200" },
  },
});
const upgrades = Number(values.upgrades);
const load = { requests: Number(values.requests), jobs: Number(values.jobs) };
const tries = Number(values.tries);
const upgraded = ["nginx", "postgresql-15"];
/** Load while packages are unpacked, between two looks at whether they are. */
const beside = { requests: 200, jobs: 200 };
/** Programs whose content changes with each version. */
const programs = ["usr/sbin/nginx", "usr/lib/postgresql/*/bin/{postgres,pg_ctl,pgbench}"];
/** Shells that user space kills, to measure how soon. */
const shells = Number(values.shells);
/** After an upgrade the packages are read again when they have not changed for 3 s. */
const SETTLED_MS = 8_000;

let failures = 0;
let isStopped = false;
// Everything is put back as it was.
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => {
    isStopped = true;
  });

function report(what: string, isMet: boolean, found: string): void {
  if (!isMet) failures += 1;
  console.log(`${new Date().toISOString().slice(11, 19)}  ${isMet ? "ok    " : "FAILED"}  ${what}: ${found}`);
}

/** Attempts from the number `first` on, each of which must end before it has written a byte. */
async function attack(
  where: string,
  attacks: readonly Attack[],
  first: number,
  count: number,
): Promise<void> {
  for (const { what, start } of attacks) {
    if (isStopped) return;
    let bytes = 0;
    const ends = new Map<string, number>();
    for (let i = first; i < first + count; i += 1) {
      const ending = await start(i);
      bytes += ending.bytes;
      ends.set(ending.end, (ends.get(ending.end) ?? 0) + 1);
    }
    const isDead = bytes === 0 && ends.get("signal 9") === count;
    const found = [`${bytes} bytes`, ...[...ends].map(([end, times]) => `${times} times ${end}`)].join(", ");
    report(`${where}, ${what}`, isDead, found);
  }
}

async function expectNoRefusal(
  servers: ClosedServers,
  what: string,
  act: () => Promise<void>,
): Promise<void> {
  const began = performance.now();
  const refusals = await servers.refusalsWhile(act);
  const seconds = ((performance.now() - began) / 1e3).toFixed(1);
  const found = `${refusals.length} refusals in ${seconds} s`;
  report(what, refusals.length === 0, [found, ...refusals.slice(0, 5)].join("; "));
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/**
 * How soon user space kills a shell that is no archive command: by what treewarden measures, from the kernel's time of the
 * exec to SIGKILL, and as its parent sees it, beside a program that the kernel ends.
 */
async function measureShells({ running, database }: ClosedServers): Promise<void> {
  const { intruder, connection } = database.connectIntruder();
  await using _ = connection;
  await intruder.start(writers.installed("sql", 0));
  const latency = await Latency.of(running);
  const before = loadavg()[0]?.toFixed(2);
  const ended: number[] = [];
  const killed: number[] = [];
  for (let i = 0; i < shells && !isStopped; i += 1) {
    ended.push((await intruder.start(writers.installed("sql", 0))).us);
    killed.push((await intruder.start("/bin/sh", "-c", busyCode(i))).us);
  }
  await Bun.sleep(1_500);
  const { count, median } = await latency.since(running);
  const load = `load ${before} before, ${loadavg()[0]?.toFixed(2)} after`;
  const outside = `their parent sees the end after ${medianOf(killed)} us, that of a program that the kernel ends after ${medianOf(ended)}`;
  report(
    "below PostgreSQL, a shell that is no archive command is killed with a median of at most 200 us",
    count >= shells && median <= 200,
    `${count} kills, ${median.toFixed(0)} us from exec to SIGKILL; ${outside}; ${load}`,
  );
}

/**
 * apt-get unpacks and configures beside requests, jobs, reloads, archives, and nginx that executes its file again. Returns the
 * packages of which dpkg began to unpack the files when both servers were reloaded.
 */
async function upgrade(servers: ClosedServers, packages: UpgradablePackages): Promise<ReadonlySet<string>> {
  const { web, database } = servers;
  const unpacked = new Set<string>();
  let isInstalling = true;
  const installing = packages
    .upgrade((name) => {
      web.reload();
      database.reload();
      unpacked.add(name);
    })
    .finally(() => {
      isInstalling = false;
    });
  const living = (async () => {
    while (isInstalling) await servers.live(beside);
  })();
  await Promise.all([installing, living]);
  await Promise.all([web.replaceOnTheFly(), database.archive(1)]);
  servers.restartDatabase();
  return unpacked;
}

/** Upgrades one after the other; the intruder tries again after each. */
async function upgradeAll(servers: ClosedServers): Promise<void> {
  using packages = new UpgradablePackages(upgraded);
  for (let i = 1; i <= upgrades && !isStopped; i += 1) {
    packages.prepare(programs);
    let unpacked: ReadonlySet<string> = new Set();
    const what = `upgrade ${i} of ${upgrades}`;
    await expectNoRefusal(servers, what, async () => {
      unpacked = await upgrade(servers, packages);
    });
    const isReloaded = upgraded.every((name) => unpacked.has(name));
    report(`${what}, reloads while packages are unpacked`, isReloaded, [...unpacked].join(", "));
    const attacks = [
      ...attacksOnNginx(servers, writers),
      ...attacksOnPostgres(servers, writers),
      ...attacksByCopy(servers, writers),
    ];
    await attack(`after upgrade ${i}`, attacks, tries + i - 1, 1);
  }
}

const writers = new Writers(2 * tries + upgrades);
await using servers = await ClosedServers.start(load, (scene) => writers.install(scene));
console.log("learned and closed");
await attack("below nginx", attacksOnNginx(servers, writers), 0, tries);
await attack("below PostgreSQL", attacksOnPostgres(servers, writers), 0, tries);
await attack("COPY FROM PROGRAM", attacksByCopy(servers, writers), 0, tries);
if (shells > 0) await measureShells(servers);
await expectNoRefusal(servers, `${load.requests} requests and ${load.jobs} jobs`, () => servers.live(load));
if (upgrades > 0) {
  await upgradeAll(servers);
  await Bun.sleep(SETTLED_MS);
  const first = tries + upgrades;
  await attack("after the upgrades, below nginx", attacksOnNginx(servers, writers), first, tries);
  await attack("after the upgrades, below PostgreSQL", attacksOnPostgres(servers, writers), first, tries);
}
const metrics = await servers.running.metrics();
for (const name of ["treewarden_prevent_mismatches_total", "treewarden_prevented_unrecorded_total"])
  report(name, metrics.sum(name) === 0, `${metrics.sum(name)}`);
report("not interrupted", !isStopped, "");
console.log(failures === 0 ? "everything is as it must be" : `${failures} failed`);
process.exitCode = failures === 0 ? 0 : 1;
