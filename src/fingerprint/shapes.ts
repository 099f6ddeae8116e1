// Shapes of names that tools generate. They are folded into one name before scoring, so that a build, a package's
// script or a container's layer makes neither a new label nor a random tree.

/** Replaces an element that matches `name`, in a directory that matches `within`, by `to`. */
export interface Shape {
  readonly what: string;
  readonly within?: RegExp;
  readonly name: RegExp;
  readonly to: string;
}

const temporary = /^\/(?:tmp|var\/tmp)(?:\/|$)/;
const uuid = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";

/** Each is as strict as the tool that generates the name. A name that only resembles one is scored like any other. */
export const shapes: readonly Shape[] = [
  {
    what: "hash of the Nix or Guix store",
    within: /^\/(?:nix|gnu)\/store$/,
    name: /^[0-9a-z]{32}-(?=.)/,
    to: "",
  },
  {
    what: "id of a container, layer or pod",
    within:
      /^\/(?:var\/lib|run|var\/run)\/(?:docker|containers?|containerd|crio|kubelet|k0s|k3s|rancher|lxc|runc|crun)(?:\/|$)|\/\.local\/share\/containers\//,
    name: new RegExp(`^(?:[0-9a-f]{12,64}(?:-init)?|${uuid}|[0-9]+)$`),
    to: "*",
  },
  { what: "revision of a snap", within: /^\/snap\/[^/]+$/, name: /^x?[0-9]+$/, to: "*" },
  { what: "commit of a flatpak", within: /^\/var\/lib\/flatpak\//, name: /^[0-9a-f]{64}$/, to: "*" },
  {
    what: "maintainer script of a Debian package",
    within: /^\/var\/lib\/dpkg\/info$/,
    name: /^.+\.(preinst|postinst|prerm|postrm|config)$/,
    to: "$1",
  },
  {
    what: "configuration script that debconf took from a package",
    within: temporary,
    name: /^[a-z0-9][a-z0-9+.-]+\.(config|template)\.[A-Za-z0-9]{6}$/,
    to: "$1",
  },
  { what: "task of Ansible", name: /^ansible-(tmp|local)-[0-9][0-9.-]*\w*$/, to: "ansible-$1-*" },
  { what: "payload of Ansible", within: temporary, name: /^(ansible_\w+_payload)_[a-z0-9_]{8}$/, to: "$1_*" },
  {
    what: "workspace of mkinitramfs",
    within: temporary,
    name: /^(mkinitramfs(?:-\w+?)?)_\w{6,10}$/,
    to: "$1_*",
  },
  { what: "workspace of dracut", within: temporary, name: /^(dracut|initramfs)\.\w{6,8}$/, to: "$1.*" },
  { what: "build of Go", within: temporary, name: /^go-(build|link|run)-?[0-9]+$/, to: "go-$1*" },
  { what: "package of a Go build", within: /\/go-build[0-9]+$/, name: /^b[0-9]{3,}$/, to: "b*" },
  {
    what: "private /tmp of a unit",
    within: temporary,
    name: /^systemd-private-[0-9a-f]{32}-(.+)-[A-Za-z0-9]{6}$/,
    to: "systemd-private-*-$1-*",
  },
  {
    what: "hash of Cargo",
    within: /\/target\/(?:[^/]+\/)?(?:debug|release)\/(?:deps|build|examples)$/,
    name: /^(.+)-[0-9a-f]{16}$/,
    to: "$1",
  },
  { what: "mount of an AppImage", within: temporary, name: /^\.mount_.{0,6}[A-Za-z0-9]{6}$/, to: ".mount_*" },
  {
    what: "workspace of pip",
    within: temporary,
    name: /^(pip-[a-z]+(?:-[a-z]+)*)-[a-z0-9_]{8}$/,
    to: "$1-*",
  },
  { what: "package of npx", within: /\/_npx$/, name: /^[0-9a-f]{16}$/, to: "*" },
  { what: "step of Jenkins", within: temporary, name: /^(jenkins|hudson)[0-9]{8,}(\.\w+)$/, to: "$1*$2" },
  { what: "step of Jenkins", name: /^durable-[0-9a-f]{6,8}$/, to: "durable-*" },
  { what: "step of a GitHub runner", within: /\/_temp$/, name: new RegExp(`^${uuid}(\\.\\w+)?$`), to: "*$1" },
  { what: "checkout of a GitLab runner", within: /^\/builds$/, name: /^[\w-]{8,9}$/, to: "*" },
  { what: "instance of cloud-init", within: /^\/var\/lib\/cloud\/instances$/, name: /^.+$/, to: "*" },
  { what: "allocation of Nomad", within: /\/alloc$/, name: new RegExp(`^${uuid}$`), to: "*" },
  { what: "workspace of Bazel", within: /\/_bazel_[^/]+$/, name: /^[0-9a-f]{32}$/, to: "*" },
  { what: "distribution of Gradle", within: /\/dists\/gradle-[^/]+$/, name: /^[0-9a-z]{20,26}$/, to: "*" },
  { what: "artefact of Gradle", within: /\/files-2\.1\//, name: /^[0-9a-f]{38,40}$/, to: "*" },
  { what: "checkout of pre-commit", within: /\/pre-commit$/, name: /^repo[a-z0-9_]{8}$/, to: "repo*" },
  { what: "environment of Poetry", within: /\/virtualenvs$/, name: /^(.+)-[\w-]{8}-py[0-9.]+$/, to: "$1" },
  {
    what: "commit of an editor's server",
    within: /\/\.vscode-server(?:-insiders)?\//,
    name: /^(?:Stable-)?[0-9a-f]{40}$/,
    to: "*",
  },
  { what: "file descriptor", within: /^\/(?:dev|proc\/[^/]+)\/fd$/, name: /^[0-9]+$/, to: "*" },
  {
    what: "part of sshd (since OpenSSH 9.8)",
    within: /^\/usr\/lib(?:exec)?(?:\/openssh|\/ssh)?$/,
    name: /^sshd-(?:session|auth)$/,
    to: "sshd",
  },
];
