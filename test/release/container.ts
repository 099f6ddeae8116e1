// The image of a release as the only content of a container, started by runc with the rights of a pod, as containerd
// does it for Kubernetes (config.md of the OCI runtime specification 1.0.2).
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { PodSpec } from "../packaging/daemon-set.ts";
import { until } from "../system/treewarden.ts";

type Json = Readonly<Record<string, unknown>>;

/** What containerd masks and write-protects in every container that is not privileged (oci/spec.go, containerd 1.7). */
const MASKED =
  "/proc/asound /proc/acpi /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats /proc/sched_debug /proc/scsi /sys/firmware";
const READ_ONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger";

export interface ContainerOptions {
  readonly pod: PodSpec;
  /** Folder of the OCI image layout. */
  readonly layout: string;
  /** GOARCH */
  readonly architecture: string;
  /** Content of each file of the configuration's volume. */
  readonly configuration: Readonly<Record<string, string>>;
}

export class Container implements AsyncDisposable {
  private readonly folder: string;
  private readonly name = `treewarden-check-${process.pid}`;
  private readonly process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  private readonly reading: Promise<void>;
  private output = "";
  private errors = "";

  private constructor(options: ContainerOptions) {
    this.folder = mkdtempSync(join(tmpdir(), "treewarden-container-"));
    const command = unpackImage(options, join(this.folder, "rootfs"));
    writeFileSync(join(this.folder, "config.json"), JSON.stringify(this.bundle(options, command)));
    this.process = Bun.spawn([...this.runc, "run", "--bundle", this.folder, this.name], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.reading = Promise.all([
      read(this.process.stdout, (text) => {
        this.output += text;
      }),
      read(this.process.stderr, (text) => {
        this.errors += text;
      }),
    ]).then(() => undefined);
  }

  /** Resolves when treewarden watches. Throws with its messages if it ends instead. */
  static async start(options: ContainerOptions): Promise<Container> {
    const container = new Container(options);
    try {
      await container.record("its start", (record) => record["event.name"] === "warden.started");
      return container;
    } catch (error) {
      await container[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The first record for which `fits` is true, waited for up to 30 s. */
  async record(what: string, fits: (record: Json) => boolean): Promise<Json> {
    const find = (): Json | undefined => this.records.find(fits);
    await until(what, () => find() !== undefined || this.process.exitCode !== null, 30_000);
    const found = find();
    if (found === undefined) throw new Error(`${what}: the container ended: ${this.errors}`);
    return found;
  }

  /** The records on standard output, without a last line that is not complete. */
  get records(): readonly Json[] {
    return this.output
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  }

  /** What it has written to standard error. */
  get messages(): string {
    return this.errors;
  }

  /** Where the volume `name` of the pod lies on this host. */
  volume(name: string): string {
    return join(this.folder, "volumes", name);
  }

  /** /proc/PID/status of each process in the container. */
  statuses(): readonly string[] {
    const { stdout } = Bun.spawnSync([...this.runc, "ps", "--format", "json", this.name]);
    const pids: readonly number[] = JSON.parse(stdout.toString());
    return pids.map((pid) => readFileSync(`/proc/${pid}/status`, "utf8"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    Bun.spawnSync([...this.runc, "kill", this.name, "TERM"]);
    await Promise.race([this.process.exited, Bun.sleep(10_000)]);
    Bun.spawnSync([...this.runc, "delete", "--force", this.name]);
    await this.reading;
    rmSync(this.folder, { recursive: true, force: true });
  }

  private get runc(): readonly string[] {
    return ["runc", "--root", join(this.folder, "runc")];
  }

  private bundle({ pod, configuration }: ContainerOptions, command: readonly string[]): Json {
    const [{ args, securityContext, volumeMounts }] = pod.containers;
    const capabilities = securityContext.capabilities.add.map((name) => `CAP_${name}`);
    const mounts = volumeMounts.map((mount) => {
      const source = join(this.volume(mount.name), mount.subPath ?? "");
      mkdirSync(mount.subPath === undefined ? source : dirname(source), { recursive: true });
      if (mount.subPath !== undefined) writeFileSync(source, configuration[mount.subPath] ?? "");
      const propagation = mount.mountPropagation === "None" ? "rprivate" : "rslave";
      const options = ["rbind", mount.readOnly ? "ro" : "rw", propagation];
      return { destination: mount.mountPath, type: "bind", source, options };
    });
    const kernel = (type: string, destination: string, ...options: string[]) => ({
      destination,
      type,
      source: type,
      options: ["nosuid", ...options],
    });
    const own = ["mount", "ipc", "cgroup", ...(pod.hostPID ? [] : ["pid"])];
    const namespaces = [...own, ...(pod.hostNetwork ? [] : ["network", "uts"])];
    return {
      ociVersion: "1.0.2",
      process: {
        user: { uid: securityContext.runAsUser, gid: securityContext.runAsGroup },
        args: [...command, ...args],
        cwd: "/",
        env: ["PATH=/usr/bin:/bin"],
        capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
        noNewPrivileges: !securityContext.allowPrivilegeEscalation,
      },
      root: { path: "rootfs", readonly: securityContext.readOnlyRootFilesystem },
      mounts: [
        kernel("proc", "/proc", "noexec", "nodev"),
        kernel("tmpfs", "/dev", "mode=755"),
        kernel("sysfs", "/sys", "noexec", "nodev", "ro"),
        ...mounts,
      ],
      linux: {
        namespaces: namespaces.map((type) => ({ type })),
        cgroupsPath: `/${this.name}`,
        maskedPaths: MASKED.split(" "),
        readonlyPaths: READ_ONLY.split(" "),
      },
    };
  }
}

/** Unpacks the layers for one processor into `root`; returns the command that begins the image's command line. */
function unpackImage({ layout, architecture }: ContainerOptions, root: string): readonly string[] {
  const blob = (digest: string): string => join(layout, "blobs", digest.replace(":", "/"));
  const json = (path: string) => JSON.parse(readFileSync(path, "utf8"));
  const [index] = json(join(layout, "index.json")).manifests;
  const { manifests } = json(blob(index.digest));
  const entry = manifests.find(
    ({ platform }: { platform: { architecture: string } }) => platform.architecture === architecture,
  );
  const manifest = json(blob(entry.digest));
  mkdirSync(root);
  for (const { digest } of manifest.layers)
    if (Bun.spawnSync(["tar", "-xzf", blob(digest), "-C", root]).exitCode !== 0)
      throw new Error(`the layer ${digest} cannot be unpacked`);
  if (existsSync(join(root, "bin"))) throw new Error("the image has more than treewarden");
  return json(blob(manifest.config.digest)).config.Entrypoint;
}

async function read(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
}
