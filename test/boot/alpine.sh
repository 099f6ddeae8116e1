# Makes a guest of an image of Alpine. Sourced by run, whose $work and $here it uses.

# The file of the folder with one of these endings. It must be the only one.
image_file() { # image_file FOLDER ENDING...
  local folder=$1 ending each found=()
  shift
  for ending; do
    for each in "$folder"/*."$ending"; do if [ -e "$each" ]; then found+=("$each"); fi; done
  done
  [ ${#found[@]} = 1 ] || { echo "boot: $folder must have one file that ends in ${*/#/.}, and has ${#found[@]}" >&2; return 1; }
  echo "${found[0]}"
}

# The disk of an image as it is, once.
alpine_disk() { # alpine_disk FOLDER
  local image copy
  image=$(image_file "$1" qcow2 img) || return
  copy="$work/$(basename "$image").raw"
  if [ ! "$copy" -nt "$image" ]; then qemu-img convert -O raw "$image" "$copy.part" && mv "$copy.part" "$copy" || return; fi
  echo "$copy"
}

# The kernel's version: the name of its folder of modules.
alpine_kernel() { # alpine_kernel FOLDER
  local disk
  disk=$(alpine_disk "$1") || return
  debugfs -R "ls -p /lib/modules" "$disk" 2> /dev/null | cut -d / -f 6 | grep -m 1 '^[0-9]' ||
    { echo "boot: $disk has no modules of a kernel" >&2; return 1; }
}

# The package of the release, the same with a higher version, and the portable archive.
make_alpine_packages() {
  local folder="$work/packages-alpine" package archive
  package=$(ls "$repository"/dist/release/treewarden_*_x86_64.apk 2> /dev/null) &&
    archive=$(ls "$repository"/dist/release/*-linux-x86-64-portable.tar.gz 2> /dev/null) || fail "npm run release must be run first"
  mkdir -p "$folder"
  cp "$archive" "$folder/portable.tar.gz"
  cp "$package" "$folder/first.apk"
  "$repository/node_modules/.bin/bun" "$here/later-apk.ts" "$package" "$folder/later.apk"
}

# A copy of the image's disk with the packages and the guest's script, and room for them.
make_alpine_disk() { # make_alpine_disk FOLDER FILE
  local copy changed="$work/alpine-files" code
  copy=$(alpine_disk "$1") || return
  cp --sparse=always "$copy" "$2"
  truncate -s +1G "$2" && truncate -s %128M "$2"
  e2fsck -fp "$2" > /dev/null
  resize2fs "$2" 2> /dev/null > /dev/null || { echo "boot: $copy must be a file system of type ext4" >&2; return 1; }
  mkdir -p "$changed"
  debugfs -R "dump /etc/inittab $changed/inittab" "$2" 2> /dev/null
  debugfs -R "dump /etc/rc.conf $changed/rc.conf" "$2" 2> /dev/null
  # After the services of the last runlevel, and at each boot. Nobody is there to log in.
  sed -i '/getty/d' "$changed/inittab" && echo '::once:/boot-test/guest' >> "$changed/inittab"
  # An image that was made in a container looks like one, and OpenRC would leave out what containers do not have.
  sed -i '/^rc_sys=/d' "$changed/rc.conf"
  cp "$here/guest-alpine" "$changed/guest"
  chmod 755 "$changed/guest"
  {
    printf 'rm %s\n' /etc/inittab /etc/rc.conf
    if [ -n "$(debugfs -R "stat /.dockerenv" "$2" 2> /dev/null)" ]; then echo 'rm /.dockerenv'; fi
    printf 'write %s %s\n' "$changed/inittab" /etc/inittab "$changed/rc.conf" /etc/rc.conf
    echo 'mkdir /boot-test'
    printf 'write %s /boot-test/%s\n' "$changed/guest" guest "$here/steps.sh" steps.sh
    for file in first.apk later.apk portable.tar.gz; do echo "write $work/packages-alpine/$file /boot-test/$file"; done
  } | debugfs -w -f - "$2" > /dev/null 2> "$changed/errors"
  # debugfs ends with 0 whatever happens; its first line is its version.
  code=$(tail -n +2 "$changed/errors" | grep -c .)
  [ "$code" = 0 ] || cat "$changed/errors" >&2
  rm -r "$changed"
  [ "$code" = 0 ]
}

# The image's initial file system with the modules of a disk that is memory. Not compressed, to save the guest that.
make_alpine_initrd() { # make_alpine_initrd FOLDER FILE
  local initrd root="$work/alpine-initrd" disk module modules="lib/modules/$name"
  initrd=$(image_file "$1" initrd) && disk=$(alpine_disk "$1") || return
  rm -rf "$root"
  mkdir "$root"
  (cd "$root" && gzip -dc "$initrd" | cpio --quiet -idm)
  for module in acpi/nfit nvdimm; do
    debugfs -R "rdump /$modules/kernel/drivers/$module $root/$modules" "$disk" 2> /dev/null
  done
  # Debian's depmod cannot read modules that gzip has compressed.
  find "$root/$modules/" -name '*.ko.gz' -exec gzip -d {} +
  depmod --basedir "$root" "$name"
  (cd "$root" && find . | cpio --quiet -o -H newc) > "$2"
  rm -rf "$root"
}
