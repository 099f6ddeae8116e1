import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { findContainerImage } from "../../src/examiner/runtime-images.ts";

const id = "0123456789abcdef".repeat(4);
const docker = `/var/lib/docker/containers/${id}/config.v2.json`;
const kubernetes = `/run/containerd/io.containerd.runtime.v2.task/k8s.io/${id}/config.json`;
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

const ofDocker = (image: unknown) => ({ ID: id, Config: { Image: image } });
const ofKubernetes = (image: unknown) => ({ annotations: { "io.kubernetes.cri.image-name": image } });
const ofStorage = (image: unknown) => [
  { id: "f".repeat(64), metadata: '{"image-name":"other"}' },
  { id, names: ["x"], metadata: JSON.stringify({ "image-name": image, name: "x" }) },
];

describe.skipIf(!asRoot)("the image of a container", () => {
  test("is read from the runtime: docker, containerd under Kubernetes, podman and CRI-O", () => {
    expect(findContainerImage(id, root)).toBeUndefined();
    file(storage, ofStorage("quay.io/a/b:1"));
    expect(findContainerImage(id, root)).toBe("quay.io/a/b:1");
    file(kubernetes, ofKubernetes("docker.io/library/nginx:1.25"));
    expect(findContainerImage(id, root)).toBe("docker.io/library/nginx:1.25");
    file(docker, ofDocker("registry:5000/nginx"));
    expect(findContainerImage(id, root)).toBe("registry:5000/nginx");
    expect(findContainerImage("f".repeat(64), root)).toBe("other");
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
    expect(findContainerImage(id, root)).toBeUndefined();
  });

  test("is not read from a file that others can write, that root does not own, or that is a link", () => {
    const full = file(docker, ofDocker("nginx"));
    expect(findContainerImage(id, root)).toBe("nginx");
    chmodSync(full, 0o620);
    expect(findContainerImage(id, root)).toBeUndefined();
    chmodSync(full, 0o600);
    chownSync(full, 65_534, 65_534);
    expect(findContainerImage(id, root)).toBeUndefined();
    rmSync(full);
    symlinkSync(file("/elsewhere", ofDocker("nginx")), full);
    expect(findContainerImage(id, root)).toBeUndefined();
    rmSync(full);
    Bun.spawnSync(["mkfifo", "-m", "600", full]);
    expect(findContainerImage(id, root)).toBeUndefined();
  });

  test("is looked up only by a valid id, so no other file is opened", () => {
    file("/secret/config.v2.json", ofDocker("nginx"));
    for (const other of ["../../../../secret", "secret", id.toUpperCase(), `${id}0`, ""])
      expect(findContainerImage(other, root)).toBeUndefined();
  });

  test("is undefined for files with arbitrary content", () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string({ unit: "binary" })), (content) => {
        for (const path of [docker, kubernetes, storage]) file(path, content);
        expect(findContainerImage(id, root)).toBeUndefined();
      }),
      { numRuns: 50 },
    );
  });
});
