#!/bin/sh
# Builds the Collector of manifest.yaml unless that was done before, and prints the path of its executable. Go takes the
# modules from where GOPROXY says. The executable stays in the user's cache, under the digest of the manifest and of
# this file. A second call waits for the first.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
builder=go.opentelemetry.io/collector/cmd/builder@v0.155.0
digest=$(cat "$here/manifest.yaml" "$here/build.sh" | sha256sum | cut -c1-16)
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/treewarden
otelcol=$cache/otelcol-$digest

if [ ! -x "$otelcol" ]; then
  command -v go >/dev/null || { echo "build.sh: the Collector needs Go to be built" >&2; exit 3; }
  mkdir -p "$cache"
  exec 9>"$cache/otelcol.lock"
  flock 9
  if [ ! -x "$otelcol" ]; then
    work=$(mktemp -d "$cache/build-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    # Only go.mod is wanted of the builder: its `go mod tidy` also asks for modules that only tests of modules need, of
    # which one may not be served, so that its exit code says nothing. The build fails if go.mod is wrong.
    env GOFLAGS=-mod=mod go run "$builder" --config "$here/manifest.yaml" --skip-compilation >builder.log 2>&1 || true
    [ -f otelcol/go.mod ] || { cat builder.log >&2; exit 1; }
    cd otelcol
    env CGO_ENABLED=0 go build -mod=mod -trimpath -buildvcs=false -ldflags="-s -w" -o "$work/built" . >&2
    mv "$work/built" "$otelcol"
  fi
fi
echo "$otelcol"
