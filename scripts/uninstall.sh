#!/usr/bin/env bash
# Takes the system out of a cluster; keeps its data. `scripts/uninstall.sh --help` says all.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/cluster.sh
. scripts/cluster.sh

usage() {
  cat <<'HELP'
Usage: scripts/uninstall.sh [options]

Deletes what carries the label app.kubernetes.io/part-of=etl in the namespaces etl-poc, monitoring
and logging, and such cluster roles. Runs under way are stopped; that loses nothing.

Volumes stay, and with them the namespaces that hold one and these namespaces' Secrets (SQL Server's
files are of no use without its password). scripts/apply-all.sh then goes on with the same data.

  --context NAME    the kubeconfig's context (default: the current one)
  --delete-data     also volumes, Secrets and the namespaces. SQL Server's databases, metrics and
                    logs are lost; the rows in Postgres are not touched. Asked for by itself
  --yes             do not ask; only together with --context
  --dry-run         say what would be deleted; changes nothing
  --provider NAME   refuse unless the nodes are of this kind: k3s, minikube, eks, kind, gke, aks, other

Exit codes: 0 done; 1 stopped half way, run it again; 64 command line; 69 a tool is missing or the
cluster does not answer; 77 not the right cluster, not confirmed, or kept by Argo CD or Terraform.
HELP
}

NAMESPACES=(etl-poc monitoring logging)
OURS=app.kubernetes.io/part-of=etl
# First what starts runs, last what others need.
KINDS=cronjob,job,deployment,statefulset,daemonset,horizontalpodautoscaler,poddisruptionbudget,ingress,service,endpointslice,configmap,networkpolicy,rolebinding,role,serviceaccount,resourcequota,limitrange
CLUSTER_KINDS=clusterrolebinding,clusterrole,storageclass
CONTEXT="" YES="" DRY_RUN="" DELETE_DATA="" PROVIDER=""

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      --context | --provider)
        [ $# -ge 2 ] || die "$EX_USAGE" "$1 needs a value." "See scripts/uninstall.sh --help"
        if [ "$1" = --context ]; then CONTEXT=$2; else PROVIDER=$2; fi
        shift
        ;;
      --delete-data) DELETE_DATA=yes ;;
      --yes) YES=yes ;;
      --dry-run) DRY_RUN=yes ;;
      --help | -h) usage && exit 0 ;;
      *) die "$EX_USAGE" "Unknown argument '$1'." "See scripts/uninstall.sh --help" ;;
    esac
    shift
  done
  [ -z "$YES" ] || [ -n "$CONTEXT" ] ||
    die "$EX_USAGE" "--yes without --context: nobody would have said which cluster." "Add --context NAME."
}

# Of our namespaces those that are there and ours: a name alone may be somebody else's.
namespaces_here() {
  local found namespace
  found=$(ask get namespaces -l $OURS -o name) || return 1
  for namespace in "${NAMESPACES[@]}"; do
    ! grep -qx "namespace/$namespace" <<<"$found" || echo "$namespace"
  done
}

volumes() { ask get pvc -n "$1" -o 'jsonpath={range .items[*]}{.metadata.name}{" "}{.status.capacity.storage}{" "}{.spec.volumeName}{"\n"}{end}'; }

# Says what is there and what becomes of it.
plan() {
  local namespace volume fate=keep
  [ -z "$DELETE_DATA" ] || fate=DELETE
  for namespace in $HERE; do
    ask get $KINDS -n "$namespace" -l $OURS --ignore-not-found -o name | sed "s|^|  delete $namespace/|" || return 1
    volumes "$namespace" >"$WORK/volumes" || return 1
    while read -r volume; do
      [ -z "$volume" ] || say "  $fate volume $namespace/$volume"
    done <"$WORK/volumes"
  done
  ask get $CLUSTER_KINDS -l $OURS --ignore-not-found -o name | sed 's/^/  delete /'
}

delete_objects() {
  local namespace
  for namespace in $HERE; do
    kube delete $KINDS -n "$namespace" -l $OURS --ignore-not-found --wait --timeout=5m ||
      die "$EX_HALFWAY" "Not all of namespace $namespace could be deleted within 5 minutes." "kubectl's message is above. Run this again."
  done
  kube delete $CLUSTER_KINDS -l $OURS --ignore-not-found ||
    die "$EX_HALFWAY" "Not all cluster roles could be deleted." "kubectl's message is above. Run this again."
}

# A namespace without a volume holds nothing that cannot be made again.
delete_namespaces() {
  local namespace kept
  for namespace in $HERE; do
    kept=$(volumes "$namespace")
    if [ -n "$kept" ] && [ -z "$DELETE_DATA" ]; then
      say "Kept: namespace $namespace with its Secrets and $(wc -l <<<"$kept") volume(s)."
      continue
    fi
    kube delete namespace "$namespace" --wait --timeout=5m ||
      die "$EX_HALFWAY" "Namespace $namespace is not gone after 5 minutes." "Look for finalizers: kubectl --context $CONTEXT get namespace $namespace -o yaml"
  done
}

# A class with reclaim policy Retain keeps the disk although its claim is gone.
say_retained() {
  local retained
  retained=$(ask get pv -o 'jsonpath={range .items[?(@.spec.persistentVolumeReclaimPolicy=="Retain")]}{.status.phase}{" "}{.metadata.name}{" "}{.spec.claimRef.namespace}/{.spec.claimRef.name}{"\n"}{end}' |
    sed -n 's/^Released //p' | grep -E " ($(paste -sd'|' - <<<"${HERE// /$'\n'}"))/" || true)
  [ -z "$retained" ] || printf 'These disks remain (reclaim policy Retain). To destroy them, delete each and then its disk:\n%s\n' "$retained"
}

main() {
  parse "$@"
  need_tools kubectl awk sed
  WORK=$(mktemp -d)
  trap 'rm -rf "$WORK"' EXIT
  choose_context
  check_server_version
  [ -z "$PROVIDER" ] || check_provider "$PROVIDER"
  check_owner
  HERE=$(namespaces_here) || die "$EX_CLUSTER" "The namespaces of context '$CONTEXT' cannot be listed. Nothing was changed." "kubectl's message is above."
  plan >"$WORK/plan" || die "$EX_CLUSTER" "What is in '$CONTEXT' cannot be listed. Nothing was changed." "kubectl's message is above."
  say "Context $CONTEXT ($SERVER):"
  cat "$WORK/plan"
  if [ -n "$DRY_RUN" ]; then
    say "Dry run: nothing was changed."
    return
  fi
  confirm "$CONTEXT" "This will delete what is listed above from the cluster $SERVER."
  [ -z "$DELETE_DATA" ] || confirm "delete data" "--delete-data: the volumes above will be lost for good."
  delete_objects
  delete_namespaces
  say_retained
  say "Done."
}

main "$@"
