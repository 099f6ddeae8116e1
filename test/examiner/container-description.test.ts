import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { describeContainer } from "../../src/examiner/container-description.ts";

const id = "0123456789abcdef".repeat(4);
const docker = `/var/lib/docker/containers/${id}/config.v2.json`;
const kubernetes = `/run/containerd/io.containerd.runtime.v2.task/k8s.io/${id}/config.json`;
const criO = `/run/containers/storage/overlay-containers/${id}/userdata/config.json`;
const storage = "/var/lib/containers/storage/overlay-containers/containers.json";
const asRoot = process.geteuid?.() === 0;
if (!asRoot) console.log("skipped: only root has files that are root's");

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "images-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function file(path: string, content: unknown): string {
  const full = `${root}${path}`;
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, typeof content === "string" ? content : JSON.stringify(content));
  chmodSync(full, 0o600);
  return full;
}

const imageOf = (container: string) => describeContainer(container, root).image;
const podOf = (container: string) => describeContainer(container, root).pod;

const ofDocker = (image: unknown) => ({ ID: id, Config: { Image: image } });
const ofKubernetes = (image: unknown) => ({ annotations: { "io.kubernetes.cri.image-name": image } });
const ofStorage = (image: unknown) => [
  { id: "f".repeat(64), metadata: '{"image-name":"other"}' },
  { id, names: ["x"], metadata: JSON.stringify({ "image-name": image, name: "x" }) },
];

describe.skipIf(!asRoot)("the image of a container", () => {
  test("is read from the runtime: docker, containerd under Kubernetes, podman and CRI-O", () => {
    expect(imageOf(id)).toBeUndefined();
    file(storage, ofStorage("quay.io/a/b:1"));
    expect(imageOf(id)).toBe("quay.io/a/b:1");
    file(kubernetes, ofKubernetes("docker.io/library/nginx:1.25"));
    expect(imageOf(id)).toBe("docker.io/library/nginx:1.25");
    file(docker, ofDocker("registry:5000/nginx"));
    expect(imageOf(id)).toBe("registry:5000/nginx");
    expect(imageOf("f".repeat(64))).toBe("other");
  });

  test.each([
    ["an image's mere id", `sha256:${"a".repeat(64)}`],
    ["its beginning", "0123456789ab"],
    ["what is no reference", "a b"],
    ["a terminal's control codes", "a\u001b[2J"],
    ["something without end", "a".repeat(513)],
    ["a number", 7],
    ["nothing", ""],
  ])("is not %s", (_what, image) => {
    file(docker, ofDocker(image));
    file(kubernetes, ofKubernetes(image));
    file(storage, ofStorage(image));
    expect(imageOf(id)).toBeUndefined();
  });

  test("is not read from a file that others can write, that root does not own, or that is a link", () => {
    const full = file(docker, ofDocker("nginx"));
    expect(imageOf(id)).toBe("nginx");
    chmodSync(full, 0o620);
    expect(imageOf(id)).toBeUndefined();
    chmodSync(full, 0o600);
    chownSync(full, 65_534, 65_534);
    expect(imageOf(id)).toBeUndefined();
    rmSync(full);
    symlinkSync(file("/elsewhere", ofDocker("nginx")), full);
    expect(imageOf(id)).toBeUndefined();
    rmSync(full);
    Bun.spawnSync(["mkfifo", "-m", "600", full]);
    expect(imageOf(id)).toBeUndefined();
  });

  test("is looked up only by a valid id, so no other file is opened", () => {
    file("/secret/config.v2.json", ofDocker("nginx"));
    for (const other of ["../../../../secret", "secret", id.toUpperCase(), `${id}0`, ""])
      expect(imageOf(other)).toBeUndefined();
  });

  test("is undefined for files with arbitrary content", () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string({ unit: "binary" })), (content) => {
        for (const path of [docker, kubernetes, storage]) file(path, content);
        expect(imageOf(id)).toBeUndefined();
      }),
      { numRuns: 50 },
    );
  });
});

describe.skipIf(!asRoot)("the pod of a container", () => {
  const pod = { name: "shop-7d9c5-x2x9q", namespace: "prod", container: "web" };
  /** As the kubelet gives them to Docker (through cri-dockerd) and CRI-O. */
  const ofKubelet = {
    "io.kubernetes.pod.name": pod.name,
    "io.kubernetes.pod.namespace": pod.namespace,
    "io.kubernetes.pod.uid": "5b5e07db-f1b9-4530-81ef-b7d04d66b83e",
    "io.kubernetes.container.name": pod.container,
  };
  /** As containerd writes them, for the sandbox too. */
  const ofSandbox = {
    "io.kubernetes.cri.container-type": "sandbox",
    "io.kubernetes.cri.sandbox-name": pod.name,
    "io.kubernetes.cri.sandbox-namespace": pod.namespace,
  };
  const ofContainerd = { ...ofSandbox, "io.kubernetes.cri.container-name": pod.container };
  const logs = "/var/log/containers";
  /** The kubelet's link to a log; that there is no log does not matter. */
  const link = (name: string): void => {
    mkdirSync(`${root}${logs}`, { recursive: true });
    symlinkSync("/var/log/pods/elsewhere/0.log", `${root}${logs}/${name}`);
  };

  test("is read from containerd's bundle", () => {
    file(kubernetes, { annotations: ofContainerd });
    expect(podOf(id)).toEqual(pod);
  });

  test("is read from CRI-O's bundle, and so is the image", () => {
    file(criO, { annotations: { ...ofKubelet, "io.kubernetes.cri-o.ImageName": "quay.io/shop/web:3" } });
    expect(describeContainer(id, root)).toEqual({ image: "quay.io/shop/web:3", pod });
  });

  test("is read from the labels that Docker keeps", () => {
    file(docker, { Config: { Image: "web", Labels: ofKubelet } });
    expect(podOf(id)).toEqual(pod);
  });

  test("is read from the name of the kubelet's link to the log, whatever the runtime", () => {
    link(`shop-7d9c5-x2x9q_prod_web-${id}.log`);
    link(`other_prod_web-${"e".repeat(64)}.log`);
    expect(podOf(id)).toEqual(pod);
    expect(podOf("d".repeat(64))).toBeUndefined();
  });

  test("has no container's name for the container that holds its namespaces", () => {
    file(kubernetes, { annotations: ofSandbox });
    expect(podOf(id)).toEqual({ ...pod, container: undefined });
  });

  test("is null for a container that the runtime knows and Kubernetes did not start", () => {
    file(docker, ofDocker("nginx"));
    expect(podOf(id)).toBeNull();
  });

  test.each([
    ["a name with a control code", { "io.kubernetes.cri.sandbox-name": "a\u001b[2J" }],
    ["a name that is a path", { "io.kubernetes.cri.sandbox-name": "../x" }],
    ["a name without end", { "io.kubernetes.cri.sandbox-name": "a".repeat(254) }],
    ["a number", { "io.kubernetes.cri.sandbox-name": 7 }],
    ["a namespace that is none", { "io.kubernetes.cri.sandbox-namespace": "kube_system" }],
    ["no namespace", { "io.kubernetes.cri.sandbox-namespace": undefined }],
  ])("is not known by %s", (_what, changed) => {
    file(kubernetes, { annotations: { ...ofContainerd, ...changed } });
    expect(podOf(id)).toBeUndefined();
  });

  test("is not known by a link that Kubernetes would not make", () => {
    link(`a_b_c_d-${id}.log`);
    expect(podOf(id)).toBeUndefined();
  });
});
