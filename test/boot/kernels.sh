# Debian's kernels of several releases: which there are, and the files that a guest boots. Sourced by run; $work is its
# folder. apt works in a folder of its own, so nothing is installed on this host and its sources stay as they are.

# linux-image-*-cloud is the kernel for virtual machines. A release and its backports bring several versions.
suites=(bullseye bookworm trixie trixie-backports)
# Of all of them, from where this host has its packages.
mirror=${TREEWARDEN_MIRROR:-$(apt-get indextargets --format '$(SITE)' 'Origin: Debian' | head -n 1)}
: "${mirror:?TREEWARDEN_MIRROR must name a mirror of Debian, because apt of this host knows none}"
mirror=${mirror%/debian}

apt_here() { # apt_here COMMAND WORD...
  local command=$1
  shift
  "$command" -o Dir::State="$work/apt" -o Dir::State::status="$work/apt/status" -o Dir::State::lists="$work/apt/lists" \
    -o Dir::Cache="$work/apt/cache" -o Dir::Etc::sourcelist="$work/apt/sources" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Cache::pkgcache=pkgcache.bin -o Dir::Cache::srcpkgcache=srcpkgcache.bin \
    -o APT::Architecture=amd64 -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 \
    -o APT::Sandbox::User=root -o Acquire::Languages=none "$@"
}

# Reads the package lists once a day, and writes the names of all packages of kernels.
update_lists() {
  mkdir -p "$work"/apt/{lists/partial,cache/archives/partial}
  touch "$work/apt/status"
  {
    for suite in "${suites[@]}"; do echo "deb $mirror/debian $suite main"; done
    echo "deb $mirror/debian-security bullseye-security main"
  } > "$work/apt/sources"
  if [ -n "$(find "$work/apt/names" -mmin -1440 2> /dev/null)" ]; then return; fi
  apt_here apt-get -q update && apt_here apt-cache pkgnames linux- > "$work/apt/names"
}

# The package of the newest kernel of a version such as 6.12, or of all with "newest".
find_kernel() { # find_kernel VERSION ARCHITECTURE
  local version=$1 architecture=$2 pattern
  if [ "$version" = newest ]; then pattern='[0-9]'; else pattern="${version//./\\.}\\."; fi
  sed -nE "s/^linux-image-($pattern.*-cloud-$architecture)\$/\1/p" "$work/apt/names" | sort -V | tail -n 1
}

# Unpacks a kernel and its modules into a folder, and a busybox. From 7.1 on, Debian's kernels are several packages.
fetch_kernel() { # fetch_kernel NAME ARCHITECTURE FOLDER
  local name=$1 architecture=$2 folder=$3 part packages=("busybox-static:$2")
  mkdir -p "$folder/packages"
  for part in base image binary modules; do
    if grep -qxF "linux-$part-$name" "$work/apt/names"; then packages+=("linux-$part-$name:$architecture"); fi
  done
  (cd "$folder/packages" && apt_here apt-get -q download "${packages[@]}") || return
  for part in "$folder"/packages/*.deb; do dpkg-deb -x "$part" "$folder/root"; done
  rm -r "$folder/packages"
  # In recent packages modules lie below /usr only.
  if [ -d "$folder/root/usr/lib/modules" ]; then
    mkdir -p "$folder/root/lib" && mv "$folder/root/usr/lib/modules" "$folder/root/lib"
  fi
  depmod --basedir "$folder/root" "$name"
  cp "$(find "$folder/root" -name 'vmlinu[xz]*' -type f | head -n 1)" "$folder/vmlinuz"
}

# Makes the initial file system: busybox, and in order the modules without which there is no root file system.
make_initramfs() { # make_initramfs KERNEL-FOLDER
  local folder=$1 init="$1/initramfs" modules module file count=10
  mkdir -p "$init"/{bin,modules,proc,root}
  cp "$(find "$folder/root" -path '*/bin/busybox' -type f)" "$init/bin/busybox"
  cp "$here/init" "$init/init"
  for module in virtio_pci virtio_blk nfit nd_pmem ext4; do
    modules=$(modprobe --dirname "$folder/root" --set-version "$(basename "$folder"/root/lib/modules/*)" \
      --show-depends "$module" | sed -n 's/^insmod \(\S*\).*/\1/p')
    for file in $modules; do
      count=$((count + 1))
      case $file in
        *.xz) xz -dc "$file" > "$init/modules/$count.ko" ;;
        *.zst) zstd -qdc "$file" > "$init/modules/$count.ko" ;;
        *) cp "$file" "$init/modules/$count.ko" ;;
      esac
    done
  done
  (cd "$init" && find . | cpio --quiet -o -H newc) | gzip -1 > "$folder/initramfs.gz"
}
