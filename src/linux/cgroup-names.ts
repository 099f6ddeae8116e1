// Derives from a process's cgroup path the container that it runs in and the systemd unit that started it.

/** Number of cgroup paths cached, more than an ordinary host has at a time. */
const MAX_CACHED = 256;
/**
 * Longer paths (characters) are not cached: systemd and container runtimes create shorter ones, only users longer ones.
 */
const MAX_CACHED_LENGTH = 512;

function cached(read: (cgroup: string) => string | null): (cgroup: string) => string | null {
  // Invalidated by: nothing, the result depends on the path alone.
  const results = new Map<string, string | null>();
  return (cgroup) => {
    if (cgroup.length > MAX_CACHED_LENGTH) return read(cgroup);
    const hit = results.get(cgroup);
    if (hit !== undefined) return hit;
    // A user who creates thousands of cgroups only causes cache misses; the cache does not grow.
    if (results.size >= MAX_CACHED) results.clear();
    const result = read(cgroup);
    results.set(cgroup, result);
    return result;
  };
}

/**
 * Container ids as the runtimes put them into cgroup paths: 64 hexadecimal digits (docker, containerd, cri-o,
 * podman: `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID.scope`, or the bare id as in
 * `/docker/ID` and `/kubepods/.../ID`), and names for lxc (`lxc.payload.NAME`) and systemd-nspawn
 * (`machine-NAME.scope`).
 */
const hexContainer =
  /(?:^|\/)(?:(?:docker|cri-containerd|crio|libpod|nerdctl|containerd)-)?([0-9a-f]{64})(?:\.scope)?(?:\/|$)/;
const namedContainer =
  /(?:^|\/)(?:lxc\.payload[./]([^/]+)|lxc\/([^/]+)|machine\.slice\/machine-([^/]+)\.scope)(?:\/|$)/;

/** Matches one element of a cgroup path that names a container by its id. */
const isContainer = /^(?:([a-z-]+)-)?[0-9a-f]{64}(?:\.scope)?$/;

/**
 * Where names begin that a service chooses itself: below `user@.service`, and below any other to whose user its control
 * group was delegated (`Delegate=` with `User=`). systemd puts no unit below a service, and the runtimes no container of
 * root's by default.
 */
const belowService = /\/user@|\.service\//;

/**
 * The container id in a cgroup path; null if the process is in no container. By naming a cgroup `docker-ID.scope`, whoever
 * has one could cut the tree above it and pass for a container in every rule. So processes below a service, including
 * rootless containers, count as the host's.
 */
export const containerOf = cached((path) => {
  // The root cgroup and very short paths name no container; this avoids the regular expressions.
  if (path.length < 6 || path === "/") return null;
  const service = path.search(belowService);
  const cgroup = service === -1 ? path : path.slice(0, service);
  const hex = hexContainer.exec(cgroup);
  if (hex !== null && !cgroup.includes(`/libpod-conmon-${hex[1] ?? ""}`)) return hex[1] ?? null;
  const named = namedContainer.exec(cgroup);
  if (named === null) return null;
  return named[1] ?? named[2] ?? named[3] ?? null;
});

/**
 * The systemd unit in a cgroup path, normalised so that it is the same on every host and after every start: instances
 * lose their name (`postgresql@15-main.service` becomes `postgresql@.service`), sessions and transient units their
 * number (`session-3.scope` becomes `session.scope`, `run-u12.service` becomes `run.service`). A service may choose the
 * names below it, so the first one counts: everything of a user's manager is `user@.service`. A container chooses the names
 * inside it, so the container's own scope counts (`docker.scope`). Null if there is no unit.
 */
export const unitOf = cached((cgroup) => {
  let unit: string | null = null;
  for (const part of cgroup.split("/")) {
    if (part.endsWith(".service") || part.endsWith(".scope")) unit = part;
    if (part.endsWith(".service")) break;
    if (isContainer.test(part)) break;
  }
  return unit === null ? null : foldUnit(unit);
});

function foldUnit(unit: string): string {
  const dot = unit.lastIndexOf(".");
  const suffix = unit.slice(dot);
  const name = unit.slice(0, dot);
  const at = name.indexOf("@");
  if (at > 0) return `${name.slice(0, at)}@${suffix}`;
  const container = isContainer.exec(unit);
  if (container?.[1] !== undefined) return `${container[1]}${suffix}`;
  if (/^session-[0-9a-z]+$/.test(name)) return `session${suffix}`;
  if (/^run-(?:u|r|p)?[0-9a-f]+(?:-[iu]?[0-9]+)*$/.test(name)) return `run${suffix}`;
  return unit;
}
