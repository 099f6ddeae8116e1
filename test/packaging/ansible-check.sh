#!/usr/bin/env bash
# Runs the role in packaging/ansible against a minimal root of Debian, day by day: installs, configures, learns, accepts
# and arms; each step twice, of which the second must change nothing. Then the armed rule kills.
#   npm run release && npm run check:ansible
# As root, on a host that does not matter: treewarden watches all of it. Needs mmdebstrap, Python 3 with venv, and
# network; the first time it installs Ansible (some minutes). TREEWARDEN_ROOT names an archive of a root with Python.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "${1:-}" != inside ]; then
  exec unshare --mount --propagation private "$0" inside
fi
# With the connection to a root directory, community.general.chroot.
ansible_version=12.3.0
lint_version=26.10.1

cache=${XDG_CACHE_HOME:-$HOME/.cache}/treewarden
ansible=$cache/ansible-$ansible_version
if [ ! -x "$ansible/bin/ansible-lint" ]; then
  python3 -m venv "$ansible"
  "$ansible/bin/pip" install --quiet "ansible==$ansible_version" "ansible-lint==$lint_version"
fi
export PATH="$ansible/bin:$PATH" ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_ROLES_PATH=$PWD/packaging/ansible/roles
export ANSIBLE_DEPRECATION_WARNINGS=false ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3
(cd packaging/ansible && ansible-lint --offline --profile production)

package=$(realpath dist/release/*_"$(dpkg --print-architecture)".deb)
work=$(mktemp -d)
root=$work/root
warden=
finish() {
  [ -z "$warden" ] || kill -TERM "$warden" 2>/dev/null || true
  [ -z "$warden" ] || wait "$warden" || true
  umount --recursive "$root" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}
trap finish EXIT
mkdir "$root"
mount -t tmpfs -o mode=755 treewarden "$root"
if [ -n "${TREEWARDEN_ROOT:-}" ]; then
  tar -xf "$TREEWARDEN_ROOT" -C "$root"
else
  mmdebstrap --quiet --variant=minbase --include=python3,python3-apt,procps bookworm - | tar -x -C "$root"
fi
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"

# A user of this test alone: the rule kills nothing else on this host.
user=64123
cat >"$work/shop.json" <<POLICY
{ "role": "shop", "extends": ["base"],
  "rules": [ { "id": "no-marker", "action": "kill", "severity": "critical",
               "when": { "and": [ { "==": [ { "var": "process.user.id" }, $user ] },
                                  { "==": [ { "var": "process.executable.name" }, "ansible-marker" ] } ] } } ] }
POLICY

play() { # play VARS, which are JSON without the outer braces: prints how many tasks have changed something
  cat >"$work/site.json" <<PLAY
[ { "name": "A host", "hosts": "all", "roles": [ { "role": "treewarden", "vars": { $1 } } ] } ]
PLAY
  ANSIBLE_STDOUT_CALLBACK=default ansible-playbook --inventory "$root," --connection community.general.chroot \
    "$work/site.json" >"$work/log" || { cat "$work/log" >&2; return 1; }
  sed -n 's/.* changed=\([0-9]*\) .*/\1/p' "$work/log"
}

step() { # step NAME VARS: the first run changes something, the second nothing
  local first second
  first=$(play "$2")
  second=$(play "$2")
  echo "$1: $first tasks have changed something, then $second"
  if [ "$first" -eq 0 ] || [ "$second" -ne 0 ]; then
    cat "$work/log" >&2
    exit 1
  fi
}

inside() { chroot "$root" "$@"; }

observing='"treewarden_package": "'$package'", "treewarden_policies": ["'$work'/shop.json"], "treewarden_config": {
  "policies": ["/etc/treewarden/policies/shop.json"], "metrics": { "listen": "off" } }'
step "installed and configured" "$observing"

# This root is not booted, so nothing has started it.
chroot "$root" treewarden run --output none 2>"$work/messages" &
warden=$!
for _ in $(seq 300); do
  inside treewarden status --output json 2>/dev/null | grep -q '"status.running":true' && break
  sleep 0.1
done

step "learning" "$observing, \"treewarden_learn_for\": \"5s\""
for _ in 1 2 3 4 5 6; do
  inside /usr/bin/env true
  sleep 1
done
step "accepted" "$observing, \"treewarden_learn_for\": \"5s\", \"treewarden_accept\": true"
[ -s "$root/var/lib/treewarden/baseline/in-force" ]

# Without hours of observation, for which no test waits.
armed=${observing/\"metrics\"/\"enforcement\": \"kill\", \"armed\": [\"shop/no-marker\"], \"armed_since_hours\": 0, \"metrics\"}
step "armed" "$armed"
cp "$root/bin/sleep" "$root/usr/bin/ansible-marker"
code=0
chroot --userspec="$user:$user" "$root" /usr/bin/ansible-marker 30 || code=$?
# 128 + SIGKILL
if [ "$code" -ne 137 ]; then
  echo "the armed rule did not kill: exit code $code" >&2
  inside treewarden status >&2
  cat "$work/messages" >&2
  exit 1
fi
echo "the armed rule kills"
