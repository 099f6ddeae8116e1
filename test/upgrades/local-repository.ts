// A repository of packages in a folder, and apt-get(8) with settings, lists and caches of its own: nothing of the host's apt
// is read or changed but which packages are installed. apt and dpkg wait for the host's lock.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { must } from "./scene.ts";

/** How long apt-get waits for dpkg's lock, seconds. */
const LOCK_TIMEOUT_S = 240;
/** The descriptor on which apt-get reports its progress (APT::Status-Fd): that of its errors. */
const STATUS_FD = 2;
/** dpkg begins to unpack a package, which is `half-installed` until all its files are there. */
const beginning = /^pmstatus:([^:]+):[\d.]+:Preparing [^:]+ \(/;

export class LocalRepository {
  private readonly archives: string;
  private readonly environment: Readonly<Record<string, string>>;

  /** `folder` must not exist. */
  constructor(folder: string) {
    this.archives = join(folder, "archives");
    const lists = join(folder, "lists");
    const cache = join(folder, "cache");
    const log = join(folder, "log");
    const none = join(folder, "none");
    for (const each of [folder, this.archives, join(lists, "partial"), cache, log, none])
      mkdirSync(each, { recursive: true, mode: 0o755 });
    const sources = join(folder, "sources.list");
    writeFileSync(sources, `deb [trusted=yes] file:${this.archives} ./\n`);
    const config = join(folder, "apt.conf");
    // apt.conf(5): APT_CONFIG is read first, so that none of the host's files is read after it.
    writeFileSync(
      config,
      `Dir::Etc::main "${none}/apt.conf";
Dir::Etc::parts "${none}";
Dir::Etc::sourcelist "${sources}";
Dir::Etc::sourceparts "${none}";
Dir::Etc::preferences "${none}/preferences";
Dir::Etc::preferencesparts "${none}";
Dir::State::lists "${lists}";
Dir::State::extended_states "${folder}/extended_states";
Dir::Cache "${cache}";
Dir::Log "${log}";
Acquire::Languages "none";
APT::Get::Assume-Yes "true";
APT::Sandbox::User "root";
APT::Status-Fd "${STATUS_FD}";
DPkg::Lock::Timeout "${LOCK_TIMEOUT_S}";
DPkg::Options { "--force-confold"; "--force-unsafe-io"; "--log=${log}/dpkg.log"; };
`,
    );
    this.environment = { APT_CONFIG: config, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" };
  }

  /** These archives, and no others, are what apt-get knows from now on. */
  offer(archives: readonly string[]): void {
    rmSync(this.archives, { recursive: true });
    mkdirSync(this.archives, { mode: 0o755 });
    const entries = archives.map((archive, index) => {
      const name = `${index}.deb`;
      const copy = join(this.archives, name);
      copyFileSync(archive, copy);
      const digest = createHash("sha256").update(readFileSync(copy)).digest("hex");
      const control = must(["dpkg-deb", "--field", copy]);
      return `${control}Filename: ./${name}\nSize: ${statSync(copy).size}\nSHA256: ${digest}\n`;
    });
    writeFileSync(join(this.archives, "Packages"), entries.join("\n"));
    this.run("update");
  }

  /** Upgrades every installed package of which a newer version is offered, see `UpgradablePackages.upgrade`. */
  async upgrade(onUnpacking: (name: string) => void): Promise<void> {
    // Not in this process group: a signal to all of it must not interrupt dpkg.
    const upgrading = Bun.spawn(["setsid", "--wait", "apt-get", "-q", "upgrade"], {
      env: { ...process.env, ...this.environment },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const decoder = new TextDecoder();
    let text = "";
    let handled = 0;
    for await (const chunk of upgrading.stderr) {
      text += decoder.decode(chunk, { stream: true });
      for (let end = text.indexOf("\n", handled); end >= 0; end = text.indexOf("\n", handled)) {
        const name = beginning.exec(text.slice(handled, end))?.[1];
        handled = end + 1;
        if (name !== undefined) onUnpacking(name);
      }
    }
    if ((await upgrading.exited) !== 0) throw new Error(`apt-get upgrade: ${text}`);
  }

  /** Installs packages, given as `NAME=VERSION`, also where a newer version is installed. */
  install(packages: readonly string[]): void {
    this.run("install", "--allow-downgrades", ...packages);
  }

  private run(...command: readonly string[]): void {
    must(["setsid", "--wait", "apt-get", "-q", ...command], this.environment);
  }
}

/** The version of a package. Throws if it is not installed whole. */
export function installedVersion(name: string): string {
  const status = must(["dpkg-query", "--status", name]);
  const version = /^Version: (.+)$/m.exec(status)?.[1];
  if (version === undefined || !/^Status: .* installed$/m.test(status)) throw new Error(`${name}: ${status}`);
  return version;
}
