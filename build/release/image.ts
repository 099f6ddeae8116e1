// An image for containers: an image layout in a tar archive (OCI image-spec 1.1, image-layout.md), one layer for each
// processor. `podman load`, `skopeo copy oci-archive:` and container registries' clients read it.
import { sha256 } from "./tool.ts";

const MEDIA = "application/vnd.oci.image";

export interface ImageLayer {
  /** GOARCH */
  readonly architecture: string;
  /** The tar archive of the layer, compressed by gzip. */
  readonly compressed: Uint8Array;
  /** SHA-256 of the tar archive as it was before. */
  readonly plainDigest: string;
}

export interface ImageOptions {
  readonly version: string;
  /** The commit, if there is one. */
  readonly revision: string | undefined;
  /** Seconds since the epoch. */
  readonly time: number;
  /** The executable in the layers. */
  readonly entrypoint: string;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: { readonly architecture: string; readonly os: "linux" };
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The files of the layout by their paths. */
export function imageLayout(
  layers: readonly ImageLayer[],
  { version, revision, time, entrypoint }: ImageOptions,
): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const add = (mediaType: string, bytes: Uint8Array): Descriptor => {
    const digest = sha256(bytes);
    files.set(`blobs/sha256/${digest}`, bytes);
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length };
  };
  const created = new Date(time * 1000).toISOString();
  const annotations = {
    "org.opencontainers.image.title": "treewarden",
    "org.opencontainers.image.version": version,
    "org.opencontainers.image.licenses": "MIT",
    "org.opencontainers.image.created": created,
    ...(revision === undefined ? {} : { "org.opencontainers.image.revision": revision }),
  };
  const manifests = layers.map(({ architecture, compressed, plainDigest }): Descriptor => {
    const config = add(
      `${MEDIA}.config.v1+json`,
      json({
        created,
        architecture,
        os: "linux",
        config: {
          User: "0:0",
          Entrypoint: [entrypoint],
          Cmd: ["run"],
          WorkingDir: "/",
          Volumes: { "/var/lib/treewarden": {} },
          StopSignal: "SIGTERM",
          Labels: annotations,
        },
        rootfs: { type: "layers", diff_ids: [`sha256:${plainDigest}`] },
        history: [{ created, comment: "the portable archive of treewarden" }],
      }),
    );
    const layer = add(`${MEDIA}.layer.v1.tar+gzip`, compressed);
    const mediaType = `${MEDIA}.manifest.v1+json`;
    const manifest = json({ schemaVersion: 2, mediaType, config, layers: [layer], annotations });
    return { ...add(mediaType, manifest), platform: { architecture, os: "linux" } };
  });
  const mediaType = `${MEDIA}.index.v1+json`;
  const index = add(mediaType, json({ schemaVersion: 2, mediaType, manifests, annotations }));
  const named = { ...index, annotations: { "org.opencontainers.image.ref.name": version } };
  files.set("index.json", json({ schemaVersion: 2, mediaType, manifests: [named] }));
  files.set("oci-layout", json({ imageLayoutVersion: "1.0.0" }));
  return files;
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
