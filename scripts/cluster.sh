# Sourced by apply-all.sh and uninstall.sh: which cluster this is, and whether it is the right one.
# shellcheck shell=bash

# What the scripts end with; see their --help.
# shellcheck disable=SC2034 # used by the script that sources this
EX_HALFWAY=1 EX_USAGE=64 EX_INPUT=65 EX_UNAVAILABLE=69 EX_TIMEOUT=75 EX_CLUSTER=77

# The oldest server that the manifests are meant for.
OLDEST_MINOR=33

say() { printf '%s\n' "$*"; }
warn() { printf 'Warning: %s\n' "$*" >&2; }

# die CODE LINE...: the first line says what is wrong, the others what to do.
die() {
  local code=$1 line
  shift
  printf 'Error: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '       %s\n' "$line" >&2; done
  exit "$code"
}

need_tools() {
  local tool missing=()
  for tool in "$@"; do command -v "$tool" >/dev/null || missing+=("$tool"); done
  [ ${#missing[@]} -eq 0 ] ||
    die "$EX_UNAVAILABLE" "Not on this machine: ${missing[*]}. Nothing was changed." "Install it and run this again."
}

# kubectl, always against the cluster that was confirmed, whatever the current context becomes.
kube() { kubectl --context "$CONTEXT" "$@"; }
# The same for short questions: a cluster that does not answer is told soon.
ask() { kubectl --context "$CONTEXT" --request-timeout=15s "$@"; }

# Sets CONTEXT from --context or the kubeconfig, and SERVER, its address.
choose_context() {
  local known
  known=$(kubectl config get-contexts -o name 2>/dev/null || true)
  if [ -z "$CONTEXT" ]; then
    CONTEXT=$(kubectl config current-context 2>/dev/null) ||
      die "$EX_CLUSTER" "kubectl has no current context. Nothing was changed." \
        "Set KUBECONFIG (for K3s: scripts/install-k3s.sh printed it), or give --context NAME." \
        "Contexts here: $(list_or_none "$known")"
  fi
  grep -Fxq -- "$CONTEXT" <<<"$known" ||
    die "$EX_CLUSTER" "There is no context '$CONTEXT' in the kubeconfig. Nothing was changed." \
      "Contexts here: $(list_or_none "$known")"
  SERVER=$(kubectl config view --minify --context "$CONTEXT" -o 'jsonpath={.clusters[0].cluster.server}')
}

list_or_none() { if [ -n "$1" ]; then tr '\n' ' ' <<<"$1"; else printf 'none'; fi; }

check_server_version() {
  local answer minor
  answer=$(ask get --raw /version 2>&1) ||
    die "$EX_UNAVAILABLE" "The cluster of context '$CONTEXT' ($SERVER) does not answer. Nothing was changed." \
      "kubectl says: $(tail -n 1 <<<"$answer")" "Is it running, and is this machine's address allowed to reach it?"
  # "36", and "36+" on EKS.
  minor=$(sed -n 's/.*"minor": *"\([0-9]*\).*/\1/p' <<<"$answer" | head -n 1)
  [ -n "$minor" ] || die "$EX_UNAVAILABLE" "$SERVER answered /version with something else. Nothing was changed." \
    "Is that a Kubernetes API server?"
  [ "$minor" -ge $OLDEST_MINOR ] ||
    die "$EX_CLUSTER" "The cluster of context '$CONTEXT' runs Kubernetes 1.$minor; 1.$OLDEST_MINOR or later is needed. Nothing was changed." \
      "Upgrade the cluster."
  # shellcheck disable=SC2034 # for the script that sources this
  SERVER_MINOR=$minor
}

# One word for each node: k3s, eks, minikube, kind, gke, aks, or other.
node_providers() {
  ask get nodes -o 'jsonpath={range .items[*]}{.metadata.name}{"|"}{.spec.providerID}{"|"}{.status.nodeInfo.kubeletVersion}{"|"}{.metadata.labels.minikube\.k8s\.io/name}{"\n"}{end}' |
    awk -F'|' 'NF >= 3 {
      provider = "other"
      if ($4 != "") provider = "minikube"
      else if ($2 ~ /^k3s:/ || $3 ~ /\+k3s/) provider = "k3s"
      else if ($2 ~ /^kind:/) provider = "kind"
      else if ($2 ~ /^aws:/ && $3 ~ /-eks-/) provider = "eks"
      else if ($2 ~ /^gce:/) provider = "gke"
      else if ($2 ~ /^azure:/) provider = "aks"
      print provider, $1
    }'
}

# check_provider EXPECTED: refuses unless every node is of that kind.
check_provider() {
  local nodes wrong
  nodes=$(node_providers) || die "$EX_CLUSTER" "The nodes of context '$CONTEXT' cannot be listed. Nothing was changed." \
    "A cluster administrator's rights are needed: check with kubectl --context '$CONTEXT' auth whoami"
  [ -n "$nodes" ] || die "$EX_CLUSTER" "The cluster of context '$CONTEXT' has no node. Nothing was changed." \
    "Nothing could run there; look at: kubectl --context '$CONTEXT' get nodes"
  wrong=$(awk -v expected="$1" '$1 != expected { print $2 " (" $1 ")" }' <<<"$nodes" | head -n 3 | paste -sd, - | sed 's/,/, /g')
  [ -z "$wrong" ] ||
    die "$EX_CLUSTER" "Wrong cluster: '$1' was expected, but context '$CONTEXT' ($SERVER) has nodes of another kind: $wrong. Nothing was changed." \
      "Give the right one with --context NAME, or the overlay that fits with --overlay." \
      "If this is the cluster you mean, say what it is: --provider $(awk '{ print $1; exit }' <<<"$nodes")"
}

# An object has one owner: what Argo CD or Terraform keeps is not touched from here.
check_owner() {
  local owner
  owner=$(ask get cronjob etl-orders -n etl-poc --ignore-not-found \
    -o 'jsonpath={.metadata.annotations.argocd\.argoproj\.io/tracking-id}|{.metadata.labels.argocd\.argoproj\.io/instance}|{.metadata.labels.app\.kubernetes\.io/managed-by}' 2>/dev/null) || owner=""
  case $owner in
    '' | '||kustomize' | '||') return ;;
    *'|terraform') owner="Terraform: change deploy/terraform/envs and run terraform there" ;;
    *) owner="Argo CD: change git, or delete the Application first" ;;
  esac
  die "$EX_CLUSTER" "CronJob etl-poc/etl-orders in '$CONTEXT' belongs to ${owner%%:*}. Nothing was changed." \
    "Two owners would undo each other's changes. ${owner#*: }."
}

# confirm WORD QUESTION: the word must be typed. --yes answers it only for a context that was named.
confirm() {
  local answer
  if [ -n "$YES" ]; then return; fi
  [ -t 0 ] || die "$EX_CLUSTER" "Not confirmed: there is no terminal to ask on. Nothing was changed." \
    "For use in a script give both: --context '$CONTEXT' --yes"
  printf '%s\nType %s to go on: ' "$2" "$1"
  read -r answer
  [ "$answer" = "$1" ] || die "$EX_CLUSTER" "Not confirmed ('$answer' is not '$1'). Nothing was changed."
}
