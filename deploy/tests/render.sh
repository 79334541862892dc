#!/usr/bin/env bash
# Renders every overlay and all components and compares with deploy/tests/golden; ETL_UPDATE_GOLDEN=1 writes the
# golden files anew: look at the difference. Needs kubectl or kustomize, no cluster, no secret.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -n "${KUSTOMIZE:-}" ]; then
  build() { "$KUSTOMIZE" build "$1"; }
elif command -v kubectl >/dev/null; then
  build() { kubectl kustomize "$1"; }
else
  echo "Error: rendering needs kubectl on the PATH, or KUSTOMIZE=/path/to/kustomize." >&2
  exit 69
fi

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
FAILED=0
fail() { echo "FAIL $*" >&2; FAILED=1; }

# render NAME DIRECTORY
render() {
  local golden=tests/golden/$1.yaml
  if ! build "$2" >"$WORK/$1.yaml"; then
    fail "deploy/$2 does not render"
  elif [ "${ETL_UPDATE_GOLDEN:-}" = 1 ]; then
    cp "$WORK/$1.yaml" "$golden" && echo "wrote deploy/$golden"
  elif ! diff -u "$golden" "$WORK/$1.yaml"; then
    fail "deploy/$golden is not what deploy/$2 renders; if it should be: ETL_UPDATE_GOLDEN=1 deploy/tests/render.sh"
  else
    echo "ok   $1"
  fi
}

# secrets OVERLAY: from the examples, in a copy; real values beside them are not read.
secrets() {
  local copy=$WORK/$1-secrets example expected found
  mkdir "$copy"
  cp "overlays/$1/secrets/kustomization.yaml" "$copy"
  for example in "overlays/$1/secrets/"*.example; do
    [ "$(tail -c 1 "$example" | wc -l)" -eq 0 ] || fail "deploy/$example ends with a line break, which would become part of the secret"
    cp "$example" "$copy/$(basename "$example" .example)"
  done
  cp -r components/reflector "$copy"
  printf 'components: [reflector]\n' >>"$copy/kustomization.yaml"
  build "$copy" >"$WORK/$1-secrets.yaml" || { fail "deploy/overlays/$1/secrets does not render from its examples"; return; }
  expected='etl-metrics etl-source etl-target etl-trust grafana-admin mssql-admin mssql-sa mssql-tls'
  found=$(sed -n 's/^  name: //p' "$WORK/$1-secrets.yaml" | sort | paste -sd' ' -)
  if [ "$found" != "$expected" ]; then
    fail "deploy/overlays/$1/secrets makes: $found; workloads need: $expected"
  elif [ "$(grep -c 'reflection-allowed-namespaces: monitoring$' "$WORK/$1-secrets.yaml")" != 1 ]; then
    fail "components/reflector does not limit exactly one Secret of $1 to the namespace monitoring"
  else
    echo "ok   $1/secrets"
  fi
}

for overlay in k3s minikube eks; do
  render "$overlay" "overlays/$overlay"
  secrets "$overlay"
done
render everything tests/everything
render external-secrets tests/external-secrets
exit $FAILED
