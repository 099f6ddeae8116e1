// The manifests for Kubernetes that are shipped, against the code.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { parseConfig } from "../../src/config/config-file.ts";
import { capabilitiesOf, processRoles, startCapabilities } from "../../src/hardening/privileges.ts";
import { kubernetesFolder, readPodSpec } from "./daemon-set.ts";

const pod = readPodSpec();
const [{ securityContext, volumeMounts }] = pod.containers;

test("the container gets the capabilities that the processes need together, and no other", () => {
  const mode = {
    source: "auto",
    enforcement: "kill",
    network: true,
    mail: false,
    setIdMail: false,
    evidence: false,
    exports: true,
  } as const;
  const needed = new Set<string>(processRoles.flatMap((role) => [...capabilitiesOf(role, mode)]));
  for (const { name } of startCapabilities) needed.add(name);
  expect(securityContext.capabilities.add.map((name) => `CAP_${name}`).toSorted()).toEqual(
    [...needed].toSorted(),
  );
});

test("nothing but its state can be written, and nobody gains rights by set-id bits", () => {
  expect(securityContext).toMatchObject({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true });
  expect(volumeMounts.filter(({ readOnly }) => !readOnly).map(({ mountPath }) => mountPath)).toEqual([
    "/var/lib/treewarden",
  ]);
});

test("no socket is mounted, by which a container's runtime could be ordered about", () => {
  const paths = pod.volumes.map(({ hostPath }) => hostPath?.path ?? "");
  expect(paths.filter((path) => /sock|^\/run\/[^/]*$|^\/(?:var\/)?run$|^\/$/.test(path))).toEqual([]);
});

test("each mount has its volume, and each volume is mounted", () => {
  const volumes = pod.volumes.map(({ name }) => name).toSorted();
  expect(volumeMounts.map(({ name }) => name).toSorted()).toEqual(volumes);
});

describe("the kustomization", () => {
  const read = (name: string): string => readFileSync(join(kubernetesFolder, name), "utf8");
  const { resources, configMapGenerator } = parse(read("kustomization.yaml"));

  test("has files of one object each", () => {
    const kinds = resources.map((name: string) => parse(read(name)).kind);
    expect(kinds).toEqual(["Namespace", "ServiceAccount", "DaemonSet"]);
  });

  test("makes the configuration that the pod mounts, which treewarden accepts and which kills nothing", () => {
    const mount = volumeMounts.find(({ name }) => name === "configuration");
    expect(configMapGenerator).toEqual([{ name: "treewarden", files: [mount?.subPath] }]);
    expect(parseConfig(read("config.yaml"), "config.yaml")).toMatchObject({
      ok: true,
      config: { enforcement: "observe" },
    });
  });
});
