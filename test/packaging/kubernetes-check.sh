#!/usr/bin/env bash
# Builds the manifests in packaging/kubernetes by kustomize and compares each field with the schemas of Kubernetes:
# npm run check:kubernetes. The first time it builds kustomize (two minutes); needs Go, Python 3 with venv, and network.
set -euo pipefail
cd "$(dirname "$0")/../.."
kustomize_version=v5.7.1
# It contains the schemas, which kubeconform would have to download.
validator_version=1.37.0
# 1.30 is the first with a field for AppArmor.
kubernetes_versions="1.30 1.33 1.37"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/treewarden
kustomize=$cache/kustomize-$kustomize_version
validator=$cache/kubernetes-validate-$validator_version
mkdir -p "$cache"
if [ ! -x "$kustomize" ]; then
  work=$(mktemp -d)
  GOBIN=$work CGO_ENABLED=0 go install -trimpath "sigs.k8s.io/kustomize/kustomize/v5@$kustomize_version"
  mv "$work/kustomize" "$kustomize"
  rmdir "$work"
fi
if [ ! -x "$validator/bin/kubernetes-validate" ]; then
  python3 -m venv "$validator"
  "$validator/bin/pip" install --quiet "kubernetes-validate==$validator_version"
fi

manifests=$(mktemp)
trap 'rm -f "$manifests"' EXIT
"$kustomize" build packaging/kubernetes >"$manifests"
for version in $kubernetes_versions; do
  "$validator/bin/kubernetes-validate" --strict --kubernetes-version "$version" "$manifests"
done
