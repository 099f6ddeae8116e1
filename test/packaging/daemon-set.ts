// The DaemonSet in packaging/kubernetes: what tests need to know of it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { parse } from "yaml";

export const kubernetesFolder = join(import.meta.dir, "../../packaging/kubernetes");

const Mount = v.object({
  name: v.string(),
  mountPath: v.string(),
  subPath: v.optional(v.string()),
  readOnly: v.optional(v.boolean(), false),
  mountPropagation: v.optional(v.picklist(["None", "HostToContainer"]), "None"),
});

const Container = v.object({
  image: v.string(),
  args: v.array(v.string()),
  securityContext: v.object({
    runAsUser: v.literal(0),
    runAsGroup: v.literal(0),
    privileged: v.literal(false),
    allowPrivilegeEscalation: v.boolean(),
    readOnlyRootFilesystem: v.boolean(),
    capabilities: v.object({ drop: v.tuple([v.literal("ALL")]), add: v.array(v.string()) }),
  }),
  volumeMounts: v.array(Mount),
});

const Volume = v.object({
  name: v.string(),
  hostPath: v.optional(v.object({ path: v.string(), type: v.string() })),
  configMap: v.optional(v.object({ name: v.string() })),
});

const DaemonSet = v.object({
  spec: v.object({
    template: v.object({
      spec: v.object({
        hostPID: v.optional(v.boolean(), false),
        hostNetwork: v.optional(v.boolean(), false),
        containers: v.tuple([Container]),
        volumes: v.array(Volume),
      }),
    }),
  }),
});

export type PodSpec = v.InferOutput<typeof DaemonSet>["spec"]["template"]["spec"];

/** The pod as the manifest describes it. Throws if the manifest lacks something that it needs. */
export function readPodSpec(): PodSpec {
  const text = readFileSync(join(kubernetesFolder, "daemon-set.yaml"), "utf8");
  return v.parse(DaemonSet, parse(text)).spec.template.spec;
}
