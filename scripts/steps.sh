# Sourced by apply-all.sh: applies the steps and waits for each.
# shellcheck shell=bash

# Waiting does not help against these.
HOPELESS='ErrImagePull|ImagePullBackOff|ErrImageNeverPull|InvalidImageName|CreateContainerConfigError|CreateContainerError'

# lay_out RENDER DIRECTORY: each object into DIRECTORY/<step>.yaml. Reads the form that kustomize writes: keys in
# order, two blanks of indentation. Every object has a step; the last rule takes what is left.
lay_out() {
  awk -v dir="$2" '
    function step_of() {
      if (kind == "Namespace") return "namespaces"
      if (kind ~ /^(LimitRange|ResourceQuota|ServiceAccount|NetworkPolicy|ConfigMap|StorageClass|PriorityClass)$/) return "rules"
      if (kind ~ /^(Cluster)?Role(Binding)?$/) return "rules"
      if (kind ~ /^(ExternalSecret|SecretStore)$/) return "secrets"
      if (namespace == "monitoring") return "monitoring"
      if (namespace == "logging") return "logging"
      if (component == "database" || component == "source") return "data"
      if (component == "init") return "init"
      return "etl"
    }
    function flush() {
      if (text != "" && kind != "") printf "---\n%s", text > (dir "/" step_of() ".yaml")
      text = kind = namespace = component = section = ""
    }
    /^---/ { flush(); next }
    { text = text $0 "\n" }
    /^[a-zA-Z]/ { section = $1 }
    /^kind: / { kind = $2 }
    section == "metadata:" && /^  namespace: / { namespace = $2 }
    section == "metadata:" && /^    app\.kubernetes\.io\/component: / { component = $2 }
    END { flush() }' "$1"
}

apply_steps() {
  local step
  # shellcheck disable=SC2153 # of apply-all.sh
  for STEP in "${STEPS[@]}"; do
    [ "$STEP" != first-run ] || [ -n "$RUN" ] || continue
    say "== $STEP"
    step=$STEP
    case $step in
      secrets) bring_secrets ;;
      init) replace_init ;;
      first-run) first_run ;;
      *) [ ! -s "$WORK/$step.yaml" ] || { apply_file "$step" && wait_for_step "$step"; } ;;
    esac
    DONE+=("$STEP")
  done
  STEP=""
  say "All is applied and works."
  say "Grafana: kubectl --context $CONTEXT -n monitoring port-forward svc/grafana 3000, then http://localhost:3000 (login admin)"
}

# From the files here, or by an operator: then they are looked at as soon as they are there.
bring_secrets() {
  [ ! -s "$WORK/secrets.yaml" ] || apply_file secrets
  brought_by_operator || return 0
  local namespace
  for namespace in $(objects secrets | awk '$1 == "ExternalSecret" { print $2 }' | sort -u); do
    kube wait --for=condition=Ready externalsecret --all -n "$namespace" --timeout="$TIMEOUT" ||
      die "$EX_TIMEOUT" "Not every ExternalSecret in $namespace was filled within $TIMEOUT." \
        "The operator says why: kubectl --context $CONTEXT -n $namespace describe externalsecret"
  done
  check_cluster_secrets
  report_faults "$EX_HALFWAY" "The steps before this one were applied."
}

apply_file() {
  kube apply --server-side --field-manager=etl-deploy "${FORCE[@]}" -f "$WORK/$1.yaml" ||
    die "$EX_HALFWAY" "The API server refused an object of step $1, although its dry run had passed." \
      "kubectl's message is above."
}

# "kind namespace name" of each object in a step's file.
objects() {
  awk '
    function flush() { if (kind != "") print kind, (namespace == "" ? "-" : namespace), name; kind = namespace = name = section = "" }
    /^---/ { flush(); next }
    /^[a-zA-Z]/ { section = $1 }
    /^kind: / { kind = $2 }
    section == "metadata:" && /^  name: / { name = $2 }
    section == "metadata:" && /^  namespace: / { namespace = $2 }
    END { flush() }' "$WORK/$1.yaml"
}

wait_for_step() {
  local kind namespace name
  while read -r kind namespace name <&3; do
    case $kind in
      Namespace)
        kube wait --for='jsonpath={.status.phase}=Active' "namespace/$name" --timeout=60s >/dev/null ||
          die "$EX_TIMEOUT" "Namespace $name is not active after 60 s." \
            "If it is being deleted, wait for its end: kubectl --context $CONTEXT get namespace $name -o yaml"
        ;;
      Deployment | StatefulSet | DaemonSet)
        wait_for_rollout "$kind" "$namespace" "$name"
        ;;
    esac
  done 3< <(objects "$1")
}

# Ends early where waiting does not help: an image that is not there, a container that ends again and again.
wait_for_rollout() {
  local deadline=$((SECONDS + $(in_seconds "$TIMEOUT"))) hopeless=0 selector="app.kubernetes.io/name=$3"
  until kube rollout status "${1,,}/$3" -n "$2" --timeout=10s 2>"$WORK/err"; do
    if waiting_reasons "$2" "$selector" | grep -Eq "$HOPELESS|CrashLoopBackOff"; then hopeless=$((hopeless + 1)); else hopeless=0; fi
    [ $hopeless -lt 6 ] || not_ready "$EX_HALFWAY" "$1 $2/$3 cannot start" "$2" "$selector"
    [ $SECONDS -lt $deadline ] || not_ready "$EX_TIMEOUT" "$1 $2/$3 was not ready within $TIMEOUT" "$2" "$selector"
    sleep "${POLL_SECONDS:-2.5}"
  done
}

# not_ready CODE WHAT NAMESPACE SELECTOR
not_ready() {
  explain "$3" "$4"
  die "$1" "$2. Its pods, their last words and the namespace's last warnings are above." "$(advice "$3" "$4")"
}

# What a person would look at first.
explain() {
  {
    kube get pods -n "$1" -l "$2" -o wide
    kube logs -n "$1" -l "$2" --all-containers --tail=15 --prefix
    kube get events -n "$1" --field-selector type=Warning --sort-by=.lastTimestamp | tail -n 8
  } >&2 || true
}

# One line for the reason that is seen.
advice() {
  local seen
  seen=$(waiting_reasons "$1" "$2")
  seen+=" $(kube get events -n "$1" --field-selector type=Warning -o 'jsonpath={.items[*].reason}' 2>/dev/null || true)"
  case $seen in
    *ErrImage* | *ImagePull* | *InvalidImage*) say "The image is not to be had on the node. On K3s: sudo scripts/install-k3s.sh --images FILE.tar; else check deploy/images.yaml and the registry's rights." ;;
    *CreateContainerConfigError*) say "A Secret or ConfigMap that the pod names is missing: the event above says which." ;;
    *FailedCreate*) say "No pod was made: Pod Security or a quota refuses it; the event above says which." ;;
    *FailedScheduling*) say "No node takes the pod: memory, or a volume of another node; the event above says which." ;;
    *CrashLoopBackOff* | *BackOff*) say "The container ends: kubectl --context $CONTEXT -n $1 logs -l $2 --previous --tail=50" ;;
    *) say "kubectl --context $CONTEXT -n $1 describe pods -l $2" ;;
  esac
}

waiting_reasons() {
  kube get pods -n "$1" -l "$2" -o 'jsonpath={range .items[*]}{.status.containerStatuses[*].state.waiting.reason} {.status.initContainerStatuses[*].state.waiting.reason} {end}' 2>/dev/null || true
}

# A Job's template cannot be changed, and mssql-init may be repeated or killed: always a new one.
replace_init() {
  [ -s "$WORK/init.yaml" ] || return 0
  kube delete job mssql-init -n etl-poc --ignore-not-found --wait --timeout="$TIMEOUT" ||
    die "$EX_TIMEOUT" "The old Job mssql-init is not gone after $TIMEOUT." "Look at: kubectl --context $CONTEXT -n etl-poc get job mssql-init -o yaml"
  apply_file init
  wait_for_job mssql-init
}

# wait_for_job NAME: prints its log; ends this script at once when it has failed.
wait_for_job() {
  local deadline=$((SECONDS + $(in_seconds "$TIMEOUT"))) hopeless=0 state selector="batch.kubernetes.io/job-name=$1"
  while [ $SECONDS -lt $deadline ]; do
    state=$(ask get job "$1" -n etl-poc -o 'jsonpath={.status.conditions[?(@.status=="True")].type}') || state=""
    case " $state " in
      *' Complete '*) job_log "$1" 3 && return ;;
      *' Failed '*)
        job_log "$1" 50 >&2
        die "$EX_HALFWAY" "Job etl-poc/$1 has failed ($(ask get job "$1" -n etl-poc -o 'jsonpath={.status.conditions[?(@.type=="Failed")].message}')). Its log is above; the last line says why." \
          "docs/operations.md lists the messages."
        ;;
    esac
    if waiting_reasons etl-poc "$selector" | grep -Eq "$HOPELESS"; then hopeless=$((hopeless + 1)); else hopeless=0; fi
    # A pull may fail once and then work; six times in a row, about 15 s, it does not.
    [ $hopeless -lt 6 ] || not_ready "$EX_HALFWAY" "Job etl-poc/$1 cannot start" etl-poc "$selector"
    sleep "${POLL_SECONDS:-2.5}"
  done
  not_ready "$EX_TIMEOUT" "Job etl-poc/$1 was not done within $TIMEOUT" etl-poc "$selector"
}

job_log() { kube logs -n etl-poc -l "batch.kubernetes.io/job-name=$1" --all-containers --tail="$2" || true; }

in_seconds() {
  case $1 in *s) echo "${1%s}" ;; *m) echo $((${1%m} * 60)) ;; *h) echo $((${1%h} * 3600)) ;; esac
}

# The first proof that rows move: not only that objects exist. Overlap with a scheduled run is harmless.
first_run() {
  local name
  name=etl-orders-first-$(date -u +%Y%m%d%H%M%S)
  kube create job "$name" -n etl-poc --from=cronjob/etl-orders ||
    die "$EX_HALFWAY" "No run could be started from CronJob etl-poc/etl-orders." "kubectl's message is above."
  wait_for_job "$name"
}
