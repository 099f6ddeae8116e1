// Names of container images, normalised so that every runtime gives the same name.

/** Longest accepted reference: registries allow 255 characters of name and 128 of tag. */
const REFERENCE_LIMIT = 512;

/** Whether `text` is a container id as docker, containerd, podman and CRI-O generate it. */
export function isContainerId(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/** Whether `text` is a reference with a name. An image id alone (`sha256:...`, or only hexadecimal digits) has none. */
export function isImageReference(text: string): boolean {
  if (text.length > REFERENCE_LIMIT || !/^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$/.test(text)) return false;
  return imageName(text) !== "" && !/^(?:sha256:)?[0-9a-f]{12,64}$/.test(text);
}

/**
 * An image's name without tag and digest, and without the `docker.io/library/` that docker itself omits. The host and
 * port of another registry stay: `registry:5000/nginx:1.25@sha256:...` is `registry:5000/nginx`,
 * `docker.io/library/nginx` is `nginx`.
 */
export function imageName(reference: string): string {
  const digest = reference.indexOf("@");
  const withTag = digest === -1 ? reference : reference.slice(0, digest);
  const colon = withTag.lastIndexOf(":");
  const name = colon > withTag.lastIndexOf("/") ? withTag.slice(0, colon) : withTag;
  const onDockerHub = /^(?:index\.)?docker\.io\/(.+)$/.exec(name)?.[1];
  if (onDockerHub === undefined) return name;
  // Keep the prefix if the short name would look like a name on another registry.
  const short = /^library\/([^/]+)$/.exec(onDockerHub)?.[1] ?? onDockerHub;
  const [first = "", ...rest] = short.split("/");
  return rest.length > 0 && /[.:]|^localhost$/.test(first) ? name : short;
}

/** The name of the answer about the image of a container, for which an exec may wait. */
export function imageKey(container: string): string {
  return `image:${container}`;
}
