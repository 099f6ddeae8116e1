// Finds the image that a container was created from, in the files of its runtime. root owns these files, but users who
// may start containers choose part of their content; so their size is limited and only valid references are accepted.
import { isContainerId, isImageReference } from "../fingerprint/image-reference.ts";
import { readCheckedFileOrNothing, rootOnly } from "../linux/root-file.ts";
import { listFolder } from "./files.ts";

/** An OCI bundle's config.json has about 20 KiB, and containers.json about 500 bytes for each container of the host. */
const LARGEST_CONFIG = 4 << 20;
const LARGEST_LIST = 16 << 20;
/** At most this many namespaces of containerd, and drivers of containers/storage, are searched. */
const MAX_FOLDERS = 32;

const DOCKER = "/var/lib/docker/containers";
const CONTAINERD = "/run/containerd/io.containerd.runtime.v2.task";
const STORAGE = "/var/lib/containers/storage";

/** The image reference as the runtime stores it; undefined if none is found. `root`: the system's directory. */
export function findContainerImage(id: string, root = ""): string | undefined {
  if (!isContainerId(id)) return undefined;
  return byDocker(id, root) ?? byContainerd(id, root) ?? byStorage(id, root);
}

/** Docker: `Config.Image` is the reference given to `docker run`. If an image id was given, there is no name. */
function byDocker(id: string, root: string): string | undefined {
  const config = readJson(`${root}${DOCKER}/${id}/config.v2.json`, LARGEST_CONFIG);
  return reference(member(member(config, "Config"), "Image"));
}

/** containerd under Kubernetes: the image is an annotation of the bundle. */
function byContainerd(id: string, root: string): string | undefined {
  for (const namespace of listFolder(`${root}${CONTAINERD}`).slice(0, MAX_FOLDERS)) {
    const config = readJson(`${root}${CONTAINERD}/${namespace}/${id}/config.json`, LARGEST_CONFIG);
    const image = reference(member(member(config, "annotations"), "io.kubernetes.cri.image-name"));
    if (image !== undefined) return image;
  }
  return undefined;
}

/** podman and CRI-O: containers/storage has a list for each driver, and `metadata` is JSON in a JSON string. */
function byStorage(id: string, root: string): string | undefined {
  const drivers = listFolder(`${root}${STORAGE}`).filter((name) => name.endsWith("-containers"));
  for (const driver of drivers.slice(0, MAX_FOLDERS)) {
    const list = readJson(`${root}${STORAGE}/${driver}/containers.json`, LARGEST_LIST);
    if (!Array.isArray(list)) continue;
    const container: unknown = list.find((entry: unknown) => member(entry, "id") === id);
    const metadata = member(container, "metadata");
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

/** Reads a JSON file that only root can write; undefined if other users can write it, or if it is not JSON. */
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
