// Finds the image that a container was created from, and the pod that it belongs to, in the files of its runtime and of
// Kubernetes. root owns these files, but users who may start containers choose part of their content; so their size is
// limited and only valid names are accepted.
import { isContainerId, isImageReference } from "../fingerprint/image-reference.ts";
import { readCheckedFileOrNothing, rootOnly } from "../linux/root-file.ts";
import { isPodLabel, isPodName, type PodOfContainer } from "../vocabulary/pod.ts";
import { listFolder } from "./files.ts";

/** An OCI bundle's config.json has about 20 KiB, and containers.json about 500 bytes for each container of the host. */
const LARGEST_CONFIG = 4 << 20;
const LARGEST_LIST = 16 << 20;
/** At most this many namespaces of containerd, and drivers of containers/storage, are searched. */
const MAX_FOLDERS = 32;

const DOCKER = "/var/lib/docker/containers";
const CONTAINERD = "/run/containerd/io.containerd.runtime.v2.task";
const CRI_O = "/run/containers/storage/overlay-containers";
const STORAGE = "/var/lib/containers/storage";
const KUBELET_LOGS = "/var/log/containers";

/** What the files have of a container. Undefined: they do not have it. */
export interface ContainerDescription {
  /** The image reference as the runtime stores it. */
  readonly image: string | undefined;
  /** Null: it belongs to no pod. */
  readonly pod: PodOfContainer | null | undefined;
}

const unknown: ContainerDescription = { image: undefined, pod: undefined };

/** What is known of the container with this id; `root`: the system's directory. */
export function describeContainer(id: string, root = ""): ContainerDescription {
  if (!isContainerId(id)) return unknown;
  const runtime = byDocker(id, root) ?? byContainerd(id, root) ?? byCriO(id, root) ?? unknown;
  return {
    image: runtime.image ?? imageByStorage(id, root),
    // What a runtime without the names calls no pod may be one for the kubelet.
    pod: runtime.pod ?? podByKubelet(id, root) ?? runtime.pod,
  };
}

/**
 * Docker: `Config.Image` is the reference given to `docker run`. If an image id was given, there is no name. The kubelet
 * gives labels through cri-dockerd.
 */
function byDocker(id: string, root: string): ContainerDescription | undefined {
  const config = readJson(`${root}${DOCKER}/${id}/config.v2.json`, LARGEST_CONFIG);
  if (config === undefined) return undefined;
  const settings = member(config, "Config");
  return { image: reference(member(settings, "Image")), pod: podIn(member(settings, "Labels"), KUBELET) };
}

/** Names of the members that hold a pod's names. */
interface PodMembers {
  readonly name: string;
  readonly namespace: string;
  readonly container: string;
}

/** The kubelet's labels (pkg/kubelet/types/labels.go), which CRI-O keeps as annotations. */
const KUBELET: PodMembers = {
  name: "io.kubernetes.pod.name",
  namespace: "io.kubernetes.pod.namespace",
  container: "io.kubernetes.container.name",
};
/** containerd's annotations (internal/cri/annotations/annotations.go, containerd 2.0). */
const CRI: PodMembers = {
  name: "io.kubernetes.cri.sandbox-name",
  namespace: "io.kubernetes.cri.sandbox-namespace",
  container: "io.kubernetes.cri.container-name",
};

/** containerd under Kubernetes: image and pod are annotations of the bundle. */
function byContainerd(id: string, root: string): ContainerDescription | undefined {
  for (const namespace of listFolder(`${root}${CONTAINERD}`).slice(0, MAX_FOLDERS)) {
    const config = readJson(`${root}${CONTAINERD}/${namespace}/${id}/config.json`, LARGEST_CONFIG);
    if (config === undefined) continue;
    const annotations = member(config, "annotations");
    return {
      image: reference(member(annotations, "io.kubernetes.cri.image-name")),
      pod: podIn(annotations, CRI),
    };
  }
  return undefined;
}

/** CRI-O: likewise, in the bundle that it makes below containers/storage's folder of what runs. */
function byCriO(id: string, root: string): ContainerDescription | undefined {
  const config = readJson(`${root}${CRI_O}/${id}/userdata/config.json`, LARGEST_CONFIG);
  if (config === undefined) return undefined;
  const annotations = member(config, "annotations");
  return {
    image: reference(member(annotations, "io.kubernetes.cri-o.ImageName")),
    pod: podIn(annotations, KUBELET),
  };
}

/** podman and CRI-O: containers/storage has a list for each driver, and `metadata` is JSON in a JSON string. */
function imageByStorage(id: string, root: string): string | undefined {
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

/**
 * The kubelet makes a link to each container's log, named POD_NAMESPACE_CONTAINER-ID.log (legacyLogSymlink in
 * pkg/kubelet/kuberuntime/legacy.go), whatever the runtime. A name that it had to cut has no whole id.
 */
function podByKubelet(id: string, root: string): PodOfContainer | undefined {
  const ending = `-${id}.log`;
  const link = listFolder(`${root}${KUBELET_LOGS}`).find((name) => name.endsWith(ending));
  if (link === undefined) return undefined;
  const [name = "", namespace = "", container = "", ...rest] = link.slice(0, -ending.length).split("_");
  return rest.length === 0 ? podOf(name, namespace, container) : undefined;
}

/** The pod in labels or annotations; null if they have none, undefined if its names are not valid. */
function podIn(values: unknown, members: PodMembers): PodOfContainer | null | undefined {
  const [name, namespace] = [member(values, members.name), member(values, members.namespace)];
  if (name === undefined && namespace === undefined) return null;
  return podOf(name, namespace, member(values, members.container));
}

function podOf(name: unknown, namespace: unknown, container: unknown): PodOfContainer | undefined {
  if (typeof name !== "string" || !isPodName(name)) return undefined;
  if (typeof namespace !== "string" || !isPodLabel(namespace)) return undefined;
  return {
    name,
    namespace,
    container: typeof container === "string" && isPodLabel(container) ? container : undefined,
  };
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
