#!/usr/bin/env bash
# Checks deploy/argocd: the parts of every overlay are together the overlay; hooks, waves, pins and the
# project's limits. `--mutants` plants faults and expects each to be noticed. Needs kubectl, python3 with yaml.
set -euo pipefail
cd "$(dirname "$0")/../.."
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# check ROOT: of a copy of the repository, since kustomize reads only what lies beside it.
check() {
  local overlay part arguments count=0
  kubectl kustomize "$1/deploy/argocd" >"$WORK/project.yaml"
  kubectl kustomize "$1/deploy/argocd/apps" >"$WORK/apps.yaml"
  for overlay in overlays/k3s overlays/minikube overlays/eks tests/everything tests/external-secrets; do
    arguments=()
    for part in "$1"/deploy/argocd/parts/*/; do
      part=$(basename "$part")
      mkdir -p "$1/deploy/part"
      printf 'resources: [../%s]\ncomponents: [../argocd/parts/%s]\n' "$overlay" "$part" >"$1/deploy/part/kustomization.yaml"
      kubectl kustomize "$1/deploy/part" >"$WORK/part-$part.yaml"
      arguments+=("$part=$WORK/part-$part.yaml")
    done
    kubectl kustomize "$1/deploy/$overlay" >"$WORK/overlay.yaml"
    python3 deploy/tests/argocd/check.py "$WORK/overlay.yaml" "$WORK/project.yaml" "$WORK/apps.yaml" "${arguments[@]}" ||
      { echo "FAIL deploy/$overlay" >&2 && return 1; }
    count=$((count + 1))
  done
  echo "argocd: $count passed, 0 failed"
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
