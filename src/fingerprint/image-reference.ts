// Names of container images, the same whichever runtime tells them.

/** Longer references are no names: registries allow 255 characters of name and 128 of tag. */
const REFERENCE_LIMIT = 512;

/** A container's id as docker, containerd, podman and CRI-O make it. */
export function isContainerId(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/** A reference that has a name: an image's mere id (`sha256:...`, or hexadecimal digits alone) has none. */
export function isImageReference(text: string): boolean {
  if (text.length > REFERENCE_LIMIT || !/^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$/.test(text)) return false;
  return imageName(text) !== "" && !/^(?:sha256:)?[0-9a-f]{12,64}$/.test(text);
}

/**
 * An image's name: without tag and digest, and without what docker leaves out of the names of its own registry. The
 * registry's host and port stay: `registry:5000/nginx:1.25@sha256:...` is `registry:5000/nginx`,
 * `docker.io/library/nginx` is `nginx`.
 */
export function imageName(reference: string): string {
  const at = reference.indexOf("@");
  const named = at === -1 ? reference : reference.slice(0, at);
  const colon = named.lastIndexOf(":");
  const name = colon > named.lastIndexOf("/") ? named.slice(0, colon) : named;
  const own = /^(?:index\.)?docker\.io\/(.+)$/.exec(name)?.[1];
  if (own === undefined) return name;
  // Not what would then look like another registry's, or like docker's own once more.
  const short = /^library\/([^/]+)$/.exec(own)?.[1] ?? own;
  const [first = "", ...more] = short.split("/");
  return more.length > 0 && /[.:]|^localhost$/.test(first) ? name : short;
}
