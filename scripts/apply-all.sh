#!/usr/bin/env bash
# Brings one overlay into a cluster, step by step. `scripts/apply-all.sh --help` says all.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/cluster.sh
. scripts/cluster.sh
# shellcheck source=scripts/preflight.sh
. scripts/preflight.sh

usage() {
  cat <<'HELP'
Usage: scripts/apply-all.sh --overlay k3s|minikube|eks [options]

Checks the files and the cluster, asks, then applies step by step and waits for each:
  namespaces, rules (quotas, accounts, network policies, settings), secrets,
  data (SQL Server), init (the mssql-init Job), etl, monitoring, logging, first-run

Nothing is changed before every check has passed; among them is a dry run of every object by the
API server. A step may be repeated: after a failure run the same command again.

  --overlay NAME        the directory under deploy/overlays
  --context NAME        the kubeconfig's context (default: the current one)
  --yes                 do not ask; only together with --context
  --dry-run             all checks, then stop; changes nothing
  --provider NAME       what the nodes are, if not what the overlay is named after:
                        k3s, minikube, eks, kind, gke, aks, other
  --secrets files       from deploy/overlays/NAME/secrets (the default), or
  --secrets cluster     they are there already (Sealed Secrets, by hand), or the overlay's
                        ExternalSecrets bring them (components/external-secrets)
  --no-run              do not start a run at the end
  --force-conflicts     take over fields that somebody else changed (kubectl edit, another tool)
  --timeout DURATION    for each wait (default: 10m)

Exit codes
   0  all is applied and works; or the dry run found nothing
   1  stopped half way: something must be changed first; it says what was applied
  64  command line
  65  a secret, certificate, address or manifest here is missing or wrong; nothing was changed
  69  a tool is missing, or the cluster does not answer; nothing was changed
  75  stopped half way: not ready in time; it says what was applied
  77  not the right cluster, not confirmed, or no right to; nothing was changed
HELP
}

OVERLAY="" CONTEXT="" YES="" DRY_RUN="" PROVIDER="" SECRETS_FROM=files RUN=yes FORCE=() TIMEOUT=10m
STEPS=(namespaces rules secrets data init etl monitoring logging first-run)
DONE=() STEP=""

parse() {
  local value
  while [ $# -gt 0 ]; do
    case $1 in
      --overlay | --context | --provider | --secrets | --timeout)
        [ $# -ge 2 ] || die "$EX_USAGE" "$1 needs a value." "See scripts/apply-all.sh --help"
        value=$2
        ;;&
      --overlay) OVERLAY=$value && shift ;;
      --context) CONTEXT=$value && shift ;;
      --provider) PROVIDER=$value && shift ;;
      --secrets) SECRETS_FROM=$value && shift ;;
      --timeout) TIMEOUT=$value && shift ;;
      --yes) YES=yes ;;
      --dry-run) DRY_RUN=yes ;;
      --no-run) RUN="" ;;
      --force-conflicts) FORCE=(--force-conflicts) ;;
      --help | -h) usage && exit 0 ;;
      *) die "$EX_USAGE" "Unknown argument '$1'." "See scripts/apply-all.sh --help" ;;
    esac
    shift
  done
  [ -n "$OVERLAY" ] || die "$EX_USAGE" "--overlay is missing." "One of: $(overlays)"
  [ -f "deploy/overlays/$OVERLAY/kustomization.yaml" ] ||
    die "$EX_USAGE" "There is no overlay '$OVERLAY'." "One of: $(overlays)"
  [ "$SECRETS_FROM" = files ] || [ "$SECRETS_FROM" = cluster ] ||
    die "$EX_USAGE" "--secrets is 'files' or 'cluster', not '$SECRETS_FROM'."
  [[ $TIMEOUT =~ ^[0-9]+[smh]$ ]] || die "$EX_USAGE" "--timeout is a number with s, m or h, such as 10m, not '$TIMEOUT'."
  [ -z "$YES" ] || [ -n "$CONTEXT" ] ||
    die "$EX_USAGE" "--yes without --context: nobody would have said which cluster." "Add --context NAME."
}

overlays() { find deploy/overlays -mindepth 2 -maxdepth 2 -name kustomization.yaml -printf '%h\n' 2>/dev/null | xargs -rn1 basename | sort | paste -sd' ' -; }

# Renders the overlay and its secrets and lays each object into the file of its step.
render() {
  kubectl kustomize "deploy/overlays/$OVERLAY" >"$WORK/all.yaml" 2>"$WORK/err" ||
    die "$EX_INPUT" "deploy/overlays/$OVERLAY cannot be rendered. Nothing was changed." "$(tail -n 3 "$WORK/err")"
  ! brought_by_operator || [ "$SECRETS_FROM" = cluster ] ||
    die "$EX_USAGE" "deploy/overlays/$OVERLAY gets its Secrets from ExternalSecrets, and from files as well." \
      "Add --secrets cluster, or take components/external-secrets out of the overlay."
  lay_out "$WORK/all.yaml" "$WORK"
}

check_files() {
  local dir="deploy/overlays/$OVERLAY"
  check_postgres "$WORK/all.yaml" "$dir"
  check_placeholders "$WORK/all.yaml" "$dir"
  if [ "$SECRETS_FROM" = files ]; then
    check_secret_files "$dir/secrets"
    check_passwords "$dir/secrets"
    check_certificates "$dir/secrets"
  fi
  report_faults "$EX_INPUT" "Nothing was changed."
  [ "$SECRETS_FROM" = cluster ] || kubectl kustomize "$dir/secrets" >"$WORK/secrets.yaml" 2>"$WORK/err" ||
    die "$EX_INPUT" "$dir/secrets cannot be rendered. Nothing was changed." "$(tail -n 3 "$WORK/err")"
}

# The Secrets that the cluster holds, by the same rules.
check_cluster_secrets() {
  mkdir -p "$WORK/held"
  fetch_secrets "$WORK/held"
  check_passwords "$WORK/held"
  check_certificates "$WORK/held"
}

brought_by_operator() { grep -q '^kind: ExternalSecret$' "$WORK/all.yaml"; }

# Each class that is asked for by name is in the cluster or in the overlay; else there is a default.
check_storage() {
  local class classes
  classes=$(ask get storageclass -o 'jsonpath={range .items[*]}{.metadata.name}{" "}{.metadata.annotations.storageclass\.kubernetes\.io/is-default-class}{"\n"}{end}') ||
    die "$EX_CLUSTER" "The StorageClasses of context '$CONTEXT' cannot be listed. Nothing was changed." "kubectl's message is above."
  for class in $(sed -n 's/^ *storageClassName: *//p' "$WORK/all.yaml" | tr -d '"' | sort -u); do
    grep -q "^$class " <<<"$classes" || awk -v name="$class" '/^kind:/ { kind = $2 } /^  name:/ && kind == "StorageClass" && $2 == name { found = 1 } END { exit !found }' "$WORK/all.yaml" ||
      die "$EX_CLUSTER" "The cluster has no StorageClass '$class', which deploy/overlays/$OVERLAY asks for. Nothing was changed." \
        "It has: $(awk '{ print $1 }' <<<"$classes" | paste -sd' ' -). Install it, or name another in the overlay."
  done
  [ "$(grep -c '^ *storageClassName:' "$WORK/all.yaml")" -ge "$(grep -c 'accessModes:' "$WORK/all.yaml")" ] || grep -q ' true$' <<<"$classes" ||
    die "$EX_CLUSTER" "The cluster has no default StorageClass, and deploy/overlays/$OVERLAY names none for some volumes. Nothing was changed." \
      "Name one in the overlay. The cluster has: $(awk '{ print $1 }' <<<"$classes" | paste -sd' ' -)"
}

# The API server is asked about every object before the first is stored. What belongs into a
# namespace that is not there yet is checked in `default`; so is the init Job, which is replaced.
check_by_server() {
  local name absent=" " file
  while read -r _ _ name; do
    ask get namespace "$name" >/dev/null 2>&1 || absent+="$name "
  done < <(objects namespaces)
  for file in namespaces rules secrets data init etl monitoring logging; do
    [ -s "$WORK/$file.yaml" ] || continue
    awk -v absent="$absent" -v step=$file '
      /^  namespace: / && (step == "init" || index(absent, " " $2 " ")) { print "  namespace: default"; next } { print }' "$WORK/$file.yaml" |
      kube apply --server-side --field-manager=etl-deploy "${FORCE[@]}" --dry-run=server -f - >/dev/null 2>"$WORK/err" ||
      refused "$file"
    grep '^Warning' "$WORK/err" >&2 || true
  done
}

refused() {
  local code=$EX_INPUT
  ! grep -qi 'forbidden: User' "$WORK/err" || code=$EX_CLUSTER
  printf 'Error: the API server refuses objects of step %s. Nothing was changed. It says:\n' "$1" >&2
  grep -v '^Warning' "$WORK/err" | sed 's/^/       /' | head -n 12 >&2
  if grep -qi conflict "$WORK/err"; then
    printf '       Somebody changed these fields by other means. Look at them; --force-conflicts takes them over.\n' >&2
  elif grep -qi 'immutable\|Forbidden: updates' "$WORK/err"; then
    printf '       This cannot be changed in place: delete that object (a StatefulSet with --cascade=orphan keeps its pod and data) and run this again.\n' >&2
  fi
  exit "$code"
}

# shellcheck source=scripts/steps.sh
. scripts/steps.sh

# Says how far it came, whatever ended it.
report() {
  local code=$? step rest=""
  rm -rf "$WORK"
  [ -n "$STEP" ] && [ $code -ne 0 ] || return 0
  for step in "${STEPS[@]}"; do [[ " ${DONE[*]} $STEP " == *" $step "* ]] || rest+=" $step"; done
  {
    printf 'Stopped in step %s. Applied before: %s. Not applied: %s.\n' "$STEP" "${DONE[*]:-nothing}" "${rest:- nothing else}"
    printf 'Once the cause is gone, run the same command again: it goes on; what is applied stays as it is.\n'
  } >&2
}

main() {
  parse "$@"
  need_tools kubectl awk sed openssl base64
  WORK=$(mktemp -d)
  trap report EXIT
  trap 'exit 130' INT TERM
  choose_context
  render
  check_files
  check_server_version
  check_provider "${PROVIDER:-$OVERLAY}"
  check_owner
  if [ "$SECRETS_FROM" = cluster ] && ! brought_by_operator; then
    check_cluster_secrets
    report_faults "$EX_INPUT" "Nothing was changed."
  fi
  check_storage
  check_by_server
  say "Overlay $OVERLAY, context $CONTEXT ($SERVER), Kubernetes 1.$SERVER_MINOR: every check passed."
  if [ -n "$DRY_RUN" ]; then
    say "Dry run: nothing was changed. Would be applied, in this order: ${STEPS[*]}"
    return
  fi
  confirm "$CONTEXT" "This will change the cluster $SERVER."
  apply_steps
}

main "$@"
