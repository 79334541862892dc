#!/usr/bin/env bash
# Checks deploy/argocd: the parts of every overlay are together the overlay; hooks, waves, pins and the
# project's limits. `--mutants` plants faults and expects each to be noticed. Needs kubectl, python3 with yaml.
set -euo pipefail
cd "$(dirname "$0")/../.."
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# check ROOT: of a copy of the repository, in which each Application is rendered as Argo CD does it.
check() {
  local overlay name directory component arguments count=0
  kubectl kustomize "$1/deploy/argocd" >"$WORK/project.yaml"
  for overlay in k3s minikube eks everything external-secrets; do
    if [ -d "deploy/tests/$overlay" ]; then
      mkdir -p "$1/deploy/argocd/overlays/$overlay"
      printf 'resources: [../../../tests/%s]\n' "$overlay" >"$1/deploy/argocd/overlays/$overlay/kustomization.yaml"
      kubectl kustomize "$1/deploy/tests/$overlay" >"$WORK/overlay.yaml"
    else
      kubectl kustomize "$1/deploy/overlays/$overlay" >"$WORK/overlay.yaml"
    fi
    sed -i "s|^\(  overlay: .*/\)[^/]*$|\1$overlay|" "$1/deploy/argocd/settings/settings.yaml"
    kubectl kustomize "$1/deploy/argocd/apps" >"$WORK/apps.yaml"
    python3 deploy/tests/argocd/sources.py "$WORK/apps.yaml" >"$WORK/sources"
    arguments=()
    while read -r name directory component; do
      like_argo "$1/$directory" "$component" >"$WORK/$name.yaml" || { echo "FAIL Application $name of $overlay does not render" >&2 && return 1; }
      arguments+=("$(basename "$component")=$WORK/$name.yaml")
    done <"$WORK/sources"
    python3 deploy/tests/argocd/check.py "$WORK/overlay.yaml" "$WORK/project.yaml" "$WORK/apps.yaml" "$1" "${arguments[@]}" ||
      { echo "FAIL overlay $overlay" >&2 && return 1; }
    count=$((count + 1))
  done
  echo "argocd: $count passed, 0 failed"
}

# like_argo DIRECTORY COMPONENT: adds the component to the kustomization in the source's own path, as Argo CD does
# (`kustomize edit add component`), renders, and takes it out again.
like_argo() {
  local code=0
  [ -f "$1/kustomization.yaml" ] || { echo "there is no $1/kustomization.yaml" >&2 && return 1; }
  cp "$1/kustomization.yaml" "$WORK/kustomization.yaml"
  python3 deploy/tests/argocd/sources.py --add "$1/kustomization.yaml" "$2"
  kubectl kustomize "$1" || code=$?
  cp "$WORK/kustomization.yaml" "$1/kustomization.yaml"
  return $code
}

copy() {
  rm -rf "$WORK/copy"
  mkdir "$WORK/copy"
  cp -r deploy "$WORK/copy/"
}

# FILE|SED EXPRESSION
MUTANTS='argocd/parts/etl/kustomization.yaml|s/pipeline, init, metrics/pipeline, init/
argocd/parts/data/kustomization.yaml|s/database, source/database, source, init/
argocd/parts/etl/kustomization.yaml|/hook: Sync/d
argocd/parts/etl/kustomization.yaml|s/BeforeHookCreation/HookSucceeded/
argocd/parts/etl/kustomization.yaml|s/sync-wave: "2"/sync-wave: "0"/
argocd/parts/namespaces/kustomization.yaml|s/Prune=false,//
argocd/project.yaml|/kind: CronJob/d
argocd/project.yaml|s/kind: ConfigMap/kind: Secret/
argocd/project.yaml|s/namespace: logging/namespace: kube-system/
argocd/settings/settings.yaml|s/argocd\/overlays/overlays/
argocd/apps/30-etl.yaml|s/parts\/etl/parts\/elt/
argocd/settings/settings.yaml|s/targetRevision: .*/targetRevision: main/
argocd/apps/30-etl.yaml|s/sync-wave: "1"/sync-wave: "-3"/
argocd/apps/60-logging.yaml|s/parts\/logging/parts\/monitoring/
argocd/apps/20-data.yaml|s/ServerSideApply=true/ServerSideApply=false/
argocd/apps/20-data.yaml|s/project: etl/project: default/'

mutants() {
  local file expression noticed=0 survived=0
  while IFS='|' read -r file expression; do
    copy
    sed -i "$expression" "$WORK/copy/deploy/$file"
    if cmp -s "deploy/$file" "$WORK/copy/deploy/$file"; then
      echo "STALE: $file: $expression changes nothing" && survived=$((survived + 1))
    elif check "$WORK/copy" >"$WORK/out" 2>&1; then
      echo "SURVIVED: $file: $expression" && survived=$((survived + 1))
    else
      echo "noticed: $(grep -m1 FAIL "$WORK/out" || tail -n 1 "$WORK/out")" && noticed=$((noticed + 1))
    fi
  done <<<"$MUTANTS"
  echo "mutants: $noticed passed, $survived failed"
  [ $survived -eq 0 ]
}

if [ "${1:-}" = --mutants ]; then
  mutants
else
  copy
  check "$WORK/copy"
fi
