// An upgrade of packages for real: apt downloads, unpacks and configures packages rebuilt from those that are installed
// here, with their own files and maintainer scripts and a higher version, from an archive in a folder. It happens on
// overlays in a mount namespace, so that the host stays as it is, and needs no network.
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const INFO = "/var/lib/dpkg/info";
const SCRIPTS = ["preinst", "postinst", "prerm", "postrm"] as const;
/** Installed kilobytes of a package that is rebuilt: the point are its scripts, not its files. */
const LARGEST = 6_000;
/** Number of packages; each has at least one script, most have several. */
const PACKAGES = 36;
/** Rebuilt although it has a service: policy-rc.d forbids to restart it. */
const WITH_SERVICE = "cron";
/** End of a rebuilt package's version. */
const REBUILT = "+rebuilt1";

export interface Upgrade {
  /** Number of maintainer scripts of the packages. */
  readonly scripts: number;
  /** A script that executes its argument, shell code, on a copy of the system: `unshare -m sh FILE CODE`. */
  readonly inCopy: string;
  /** Such code: looks for updates. */
  readonly update: string;
  /** Upgrades everything. */
  readonly upgrade: string;
  /** The number of packages that were upgraded and configured until now. */
  readonly configured: () => number;
}

/** Prepares an archive and a copy below `folder`. */
export function prepareUpgrade(folder: string): Upgrade {
  const archive = join(folder, "archive");
  mkdirSync(archive, { recursive: true });
  const chosen = installed().slice(0, PACKAGES);
  const index = chosen.map((stanza) => rebuild(stanza, join(folder, "build"), archive));
  writeFileSync(join(archive, "Packages"), index.join("\n"));
  writeFileSync(join(folder, "sources.list"), `deb [trusted=yes] file:${archive} ./\n`);
  const inCopy = join(folder, "in-copy");
  writeFileSync(inCopy, copyScript(folder));
  const settings = [
    ...[`Dir::Etc::sourcelist=${folder}/sources.list`, "Dir::Etc::sourceparts=-", "Acquire::Languages=none"],
    "Dpkg::Options::=--force-confold",
  ];
  const apt = `apt-get -qq ${settings.map((setting) => `-o ${setting}`).join(" ")}`;
  const log = join(folder, "dpkg.log");
  writeFileSync(log, "");
  return {
    scripts: chosen.reduce((total, { scripts }) => total + scripts.length, 0),
    inCopy,
    update: `${apt} update`,
    upgrade: `${apt} update && ${apt} -y upgrade`,
    configured: () => readFileSync(log, "latin1").match(/ status installed .*\+rebuilt1$/gm)?.length ?? 0,
  };
}

/** Overlays on what packages change. A tmpfs keeps the changes: nothing of them is left when the last process ends. */
function copyScript(folder: string): string {
  const changes = join(folder, "changes");
  mkdirSync(changes, { recursive: true });
  return `set -e
mount -t tmpfs -o mode=755 none ${changes}
for name in etc usr var; do
  mkdir ${changes}/$name ${changes}/$name.work
  mount -t overlay -o lowerdir=/$name,upperdir=${changes}/$name,workdir=${changes}/$name.work none /$name
done
mount -t tmpfs -o mode=755 none /run
mkdir /run/lock
mount --bind ${folder}/dpkg.log /var/log/dpkg.log
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive
eval "$1"
`;
}

interface Installed {
  readonly name: string;
  /** As dpkg names its files: with the architecture for a library. */
  readonly file: string;
  readonly control: ReadonlyMap<string, string>;
  readonly scripts: readonly string[];
}

/** Installed packages that can be rebuilt, by name. */
function installed(): Installed[] {
  const found: Installed[] = [];
  for (const stanza of readFileSync("/var/lib/dpkg/status", "utf8").split("\n\n")) {
    const control = fieldsOf(stanza);
    const name = control.get("Package") ?? "";
    if (control.get("Status") !== "install ok installed") continue;
    if (Number(control.get("Installed-Size") ?? LARGEST) >= LARGEST) continue;
    const file = existsSync(join(INFO, `${name}.list`)) ? name : `${name}:${control.get("Architecture")}`;
    const scripts = SCRIPTS.filter((script) => existsSync(join(INFO, `${file}.${script}`)));
    if (!scripts.includes("postinst") || (hasService(file) && name !== WITH_SERVICE)) continue;
    found.push({ name, file, control, scripts });
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function fieldsOf(stanza: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const field of stanza.split(/\n(?! )/)) {
    const colon = field.indexOf(":");
    if (colon > 0) fields.set(field.slice(0, colon), field.slice(colon + 1).trim());
  }
  return fields;
}

function filesOf(file: string): string[] {
  return readFileSync(join(INFO, `${file}.list`), "utf8")
    .split("\n")
    .filter((path) => path !== "");
}

function hasService(file: string): boolean {
  return filesOf(file).some((path) => /^\/etc\/init\.d\/|\/systemd\/system\/.*\.service$/.test(path));
}

/** Makes a package of what is installed; its stanza in the archive's index. */
function rebuild({ file, name, control, scripts }: Installed, build: string, archive: string): string {
  const tree = join(build, name);
  mkdirSync(join(tree, "DEBIAN"), { recursive: true });
  const list = filesOf(file).filter((path) => existsSync(path) && !statSync(path).isDirectory());
  const copy = 'tar -C / --no-recursion -cf - -T - | tar -C "$0" -xf -';
  const input = Buffer.from(list.map((path) => `.${path}\n`).join(""));
  expectFine(Bun.spawnSync(["sh", "-c", copy, tree], { stdin: input, stderr: "pipe" }), name);
  const skipped = ["Status", "Conffiles", "Config-Version"];
  const fields = new Map([...control].filter(([field]) => !skipped.includes(field)));
  fields.set("Version", `${control.get("Version")}${REBUILT}`);
  const text = [...fields].map(([field, value]) => `${field}: ${value}\n`).join("");
  writeFileSync(join(tree, "DEBIAN/control"), text);
  for (const script of [...scripts, "conffiles", "triggers", "templates", "config"]) {
    const from = join(INFO, `${file}.${script}`);
    if (!existsSync(from)) continue;
    // A conffile that an administrator has removed is not in the package either.
    const lines = readFileSync(from, "latin1");
    const kept =
      script === "conffiles"
        ? lines
            .split("\n")
            .filter((path) => list.includes(path))
            .join("\n")
        : lines;
    writeFileSync(
      join(tree, "DEBIAN", script),
      script === "conffiles" && kept !== "" ? `${kept}\n` : kept,
      "latin1",
    );
    chmodSync(join(tree, "DEBIAN", script), scripts.includes(script) || script === "config" ? 0o755 : 0o644);
  }
  const out = join(archive, `${name}.deb`);
  expectFine(
    Bun.spawnSync(["dpkg-deb", "-Znone", "--root-owner-group", "-b", tree, out], { stderr: "pipe" }),
    name,
  );
  const digest = new Bun.CryptoHasher("sha256").update(readFileSync(out)).digest("hex");
  return `${text}Filename: ./${name}.deb\nSize: ${statSync(out).size}\nSHA256: ${digest}\n`;
}

function expectFine({ exitCode, stderr }: { exitCode: number; stderr: Buffer }, name: string): void {
  if (exitCode !== 0) throw new Error(`${name} cannot be rebuilt: ${stderr}`);
}
