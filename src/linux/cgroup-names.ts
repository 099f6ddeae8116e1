// What a cgroup path says of a process: which container it is in, which systemd unit started it.

/** cgroup paths remembered: more than an ordinary host has at a time. */
const REMEMBERED = 256;
/** Characters: what systemd and the container runtimes make is shorter, and a user's own may be as long as he likes. */
const LONGEST = 512;

function remembered(read: (cgroup: string) => string | null): (cgroup: string) => string | null {
  // Invalidated by: nothing, what is read follows from the path alone.
  const known = new Map<string, string | null>();
  return (cgroup) => {
    if (cgroup.length > LONGEST) return read(cgroup);
    const before = known.get(cgroup);
    if (before !== undefined) return before;
    // Whoever makes up cgroups by the thousand makes everybody's be read again, and nothing grow.
    if (known.size >= REMEMBERED) known.clear();
    const made = read(cgroup);
    known.set(cgroup, made);
    return made;
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

/** One element of such a path. */
const isContainer = /^(?:([a-z-]+)-)?[0-9a-f]{64}(?:\.scope)?$/;

/**
 * Container id of a process by its cgroup path; null if it is in none. Below a user's own manager names are the user's
 * to choose: whoever could call a cgroup `docker-ID.scope` there would cut the tree above it, and count as a
 * container's for every rule. So what runs there, rootless containers too, is the host's.
 */
export const containerOf = remembered((path) => {
  // Nearly every path of a host without containers ends here, without a regular expression.
  if (path.length < 6 || path === "/") return null;
  const manager = path.indexOf("/user@");
  const cgroup = manager === -1 ? path : path.slice(0, manager);
  const hex = hexContainer.exec(cgroup);
  if (hex !== null && !cgroup.includes(`/libpod-conmon-${hex[1] ?? ""}`)) return hex[1] ?? null;
  const named = namedContainer.exec(cgroup);
  if (named === null) return null;
  return named[1] ?? named[2] ?? named[3] ?? null;
});

/**
 * systemd unit of a process by its cgroup path, folded so that it is the same on every host and every start:
 * instances lose their name (`postgresql@15-main.service` is `postgresql@.service`), sessions and transient units
 * their number (`session-3.scope` is `session.scope`, `run-u12.service` is `run.service`). Below a user's own manager
 * names are the user's to choose, so all of it is `user@.service`; inside a container they are the container's, so its
 * own scope counts (`docker.scope`). null if there is none.
 */
export const unitOf = remembered((cgroup) => {
  let unit: string | null = null;
  for (const part of cgroup.split("/")) {
    if (part.endsWith(".service") || part.endsWith(".scope")) unit = part;
    if (part.startsWith("user@") && part.endsWith(".service")) break;
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
