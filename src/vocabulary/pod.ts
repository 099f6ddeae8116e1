// The names by which Kubernetes knows a container.

/** The pod of a container, as far as its names are known. */
export interface PodOfContainer {
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
  /** The container's name in the pod. The one that only holds the pod's namespaces (`pause`) has none. */
  readonly container?: string | undefined;
}

/** A pod's name is a subdomain of at most 253 characters (RFC 1123, apimachinery's util/validation of Kubernetes 1.37). */
export function isPodName(text: string): boolean {
  return (
    text.length <= 253 && /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/.test(text)
  );
}

/** The names of a namespace and of a container are labels of at most 63 characters, likewise. */
export function isPodLabel(text: string): boolean {
  return text.length <= 63 && /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/.test(text);
}
