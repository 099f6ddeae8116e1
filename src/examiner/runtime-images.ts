// Which image a container was made of, by what its runtime keeps on disk. The files are root's, but what stands in them
// came from whoever may start containers: they are read with bounds, and nothing is believed but a reference's shape.
import { isContainerId, isImageReference } from "../fingerprint/image-reference.ts";
import { readCheckedFileOrNothing, rootOnly } from "../linux/root-file.ts";
import { listFolder } from "./files.ts";

/** An OCI bundle's config.json has some 20 KiB; containers.json some 500 bytes for each container of the host. */
const LARGEST_CONFIG = 4 << 20;
const LARGEST_LIST = 16 << 20;
/** Namespaces of containerd, and drivers of containers/storage: more are not looked into. */
const MOST_FOLDERS = 32;

const DOCKER = "/var/lib/docker/containers";
const CONTAINERD = "/run/containerd/io.containerd.runtime.v2.task";
const STORAGE = "/var/lib/containers/storage";

/** The image reference as the runtime has it; undefined if none of them tells. `root`: where the system lies. */
export function imageOf(id: string, root = ""): string | undefined {
  if (!isContainerId(id)) return undefined;
  return byDocker(id, root) ?? byContainerd(id, root) ?? byStorage(id, root);
}

/** Docker: `Config.Image` is what `docker run` was given; an image's id tells no name. */
function byDocker(id: string, root: string): string | undefined {
  const config = readJson(`${root}${DOCKER}/${id}/config.v2.json`, LARGEST_CONFIG);
  return reference(member(member(config, "Config"), "Image"));
}

/** containerd below Kubernetes: an annotation of the bundle. */
function byContainerd(id: string, root: string): string | undefined {
  for (const namespace of listFolder(`${root}${CONTAINERD}`).slice(0, MOST_FOLDERS)) {
    const config = readJson(`${root}${CONTAINERD}/${namespace}/${id}/config.json`, LARGEST_CONFIG);
    const image = reference(member(member(config, "annotations"), "io.kubernetes.cri.image-name"));
    if (image !== undefined) return image;
  }
  return undefined;
}

/** podman and CRI-O: containers/storage has a list for each driver; `metadata` is JSON within JSON. */
function byStorage(id: string, root: string): string | undefined {
  const drivers = listFolder(`${root}${STORAGE}`).filter((name) => name.endsWith("-containers"));
  for (const driver of drivers.slice(0, MOST_FOLDERS)) {
    const list = readJson(`${root}${STORAGE}/${driver}/containers.json`, LARGEST_LIST);
    if (!Array.isArray(list)) continue;
    const found: unknown = list.find((one: unknown) => member(one, "id") === id);
    const metadata = member(found, "metadata");
    if (typeof metadata !== "string") continue;
    const image = reference(member(parse(metadata), "image-name"));
    if (image !== undefined) return image;
  }
  return undefined;
}

function reference(value: unknown): string | undefined {
  return typeof value === "string" && isImageReference(value) ? value : undefined;
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.getOwnPropertyDescriptor(value, name)?.value;
}

/** What stands in a file that is root's and that nobody else can write; undefined if it is not so, or no JSON. */
function readJson(path: string, limit: number): unknown {
  const bytes = readCheckedFileOrNothing(path, rootOnly(limit));
  return bytes && parse(bytes.toString("utf8"));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
