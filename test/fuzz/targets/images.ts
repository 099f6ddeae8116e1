// Files of container runtimes: users who may start containers choose a part of them.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeContainer } from "../../../src/examiner/container-description.ts";
import { imageName } from "../../../src/fingerprint/image-reference.ts";
import type { FuzzTarget } from "../target.ts";

const ID = "c".repeat(64);
const places = [
  `var/lib/docker/containers/${ID}/config.v2.json`,
  `run/containerd/io.containerd.runtime.v2.task/k8s.io/${ID}/config.json`,
  "var/lib/containers/storage/overlay-containers/containers.json",
  `run/containers/storage/overlay-containers/${ID}/userdata/config.json`,
];
let root: string | undefined;

function makeRoot(): string {
  const made = mkdtempSync(join(tmpdir(), "treewarden-fuzz-"));
  for (const place of places) mkdirSync(join(made, place, ".."), { recursive: true });
  return made;
}

/** The first byte chooses the runtime, the others are its file. */
export const images: FuzzTarget = {
  name: "images",
  parses: "files of docker, containerd, podman and CRI-O",
  weight: 1,
  words: [
    '"Config":{"Image":',
    '"io.kubernetes.cri.image-name":',
    '"io.kubernetes.cri.sandbox-name":',
    '"io.kubernetes.pod.namespace":',
    '"metadata":"{\\"image-name\\":',
    `"id":"${ID}"`,
  ],
  parse(input) {
    root ??= makeRoot();
    const file = join(root, places[(input[0] ?? 0) % places.length] ?? "");
    writeFileSync(file, input.subarray(1), { mode: 0o600 });
    const { image, pod } = describeContainer(ID, root);
    rmSync(file);
    return (image === undefined ? 0 : imageName(image).length) + (pod?.name?.length ?? 0);
  },
  end() {
    if (root !== undefined) rmSync(root, { recursive: true });
    root = undefined;
  },
};
