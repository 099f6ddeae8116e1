#!/usr/bin/env bash
# Runs packaging/openrc/treewarden by OpenRC itself, with the content of Alpine's package, in a minimal root of Debian:
#   npm run release && npm run check:openrc
# As root, on a host that does not matter: treewarden watches all of it. Needs mmdebstrap and network. TREEWARDEN_ROOT
# names an archive of a root with openrc and procps.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "${1:-}" != inside ]; then
  exec unshare --mount --propagation private "$0" inside
fi

package=$(realpath dist/release/*_"$(uname -m)".apk)
work=$(mktemp -d)
root=$work/root
finish() {
  service stop >/dev/null 2>&1 || true
  # A service that cannot be stopped must not outlast this check.
  left=$(in_charge) || left=
  if [ "$(readlink "/proc/${left:-0}/root")" = "$root" ]; then kill -TERM "$left" && sleep 3; fi
  umount --recursive "$root" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}
trap finish EXIT
mkdir "$root"
mount -t tmpfs -o mode=755 treewarden "$root"
if [ -n "${TREEWARDEN_ROOT:-}" ]; then
  tar -xf "$TREEWARDEN_ROOT" -C "$root"
else
  mmdebstrap --quiet --variant=minbase --include=openrc,procps bookworm - | tar -x -C "$root"
fi
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
# The first members of the archive are signature and scripts, whose names begin with a dot.
tar -xzf "$package" -C "$root" --ignore-zeros --warning=no-unknown-keyword --exclude='.*'

# What Alpine's boot has made by now.
for folder in daemons exclusive failed inactive options scheduled started starting stopping tmp wasinactive; do
  mkdir -p "$root/run/openrc/$folder"
done
echo default >"$root/run/openrc/softlevel"
# The control groups of this host are mounted, and their controllers are not this check's to turn on.
for other in localmount cgroups; do
  printf '#!/sbin/openrc-run\nstart() { :; }\n' >"$root/etc/init.d/$other"
done
# Debian's OpenRC comes without its start-stop-daemon, and dpkg's has no --stderr-logger.
mkdir -p "$root/lib/rc/bin"
cat >"$root/lib/rc/bin/start-stop-daemon" <<'WRAPPER'
#!/bin/sh
[ "$5" = --stderr-logger ] || exit 64
exec /sbin/start-stop-daemon "$1" "$2" "$3" "$4" "$7" "$8" "$9" "${10}"
WRAPPER
chmod 755 "$root/etc/init.d/localmount" "$root/etc/init.d/cgroups" "$root/lib/rc/bin/start-stop-daemon"

service() {
  timeout 60 chroot "$root" env PATH=/usr/sbin:/usr/bin:/sbin:/bin rc-service treewarden "$1"
}

expect() { # expect CODE ACTION
  local code=0
  service "$2" >"$work/log" 2>&1 || code=$?
  echo "$2: exit code $code"
  if [ "$code" -ne "$1" ]; then
    cat "$work/log" >&2
    exit 1
  fi
}

in_charge() {
  tr -dc 0-9 <"$root/var/lib/treewarden/lock"
}

expect 3 status
expect 0 start
expect 0 status
expect 0 reload

echo "policies: [nosuch]" >"$root/etc/treewarden/config.yaml"
expect 2 reload
echo "# no settings" >"$root/etc/treewarden/config.yaml"

killed=$(in_charge)
kill -KILL "$killed"
for _ in $(seq 50); do
  [ "$(in_charge)" = "$killed" ] || break
  sleep 0.1
done
[ "$(in_charge)" != "$killed" ]
# The standby has taken over, and the service is still one.
expect 0 status

# An upgrade has put another file in the place of the running one.
before=$(in_charge)
cp --preserve "$root/opt/treewarden/bin/treewarden" "$root/opt/treewarden/bin/new"
mv "$root/opt/treewarden/bin/new" "$root/opt/treewarden/bin/treewarden"
expect 0 status
expect 0 restart
[ "$(in_charge)" != "$before" ]
expect 0 stop
expect 3 status
