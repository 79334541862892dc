# Sourced by ../scripts.sh: a repository to run the scripts in, and how to ask what they did.
# shellcheck shell=bash disable=SC2034,SC2154

certificate() { # NAME SUBJECT-ALT-NAME DAYS
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=test-ca -days 30 \
    -keyout "$T/ca.key" -out "$T/ca.crt" 2>/dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=mssql -keyout "$T/$1.key" -out "$T/$1.csr" 2>/dev/null
  openssl x509 -req -in "$T/$1.csr" -CA "$T/ca.crt" -CAkey "$T/ca.key" -days "$3" -out "$T/$1.crt" \
    -extfile <(printf 'subjectAltName=%s' "$2") 2>/dev/null
}

# A fresh repository with good secrets; each case changes what it is about.
world() {
  rm -rf "$T/repo" "$T/log" "$T/root"
  mkdir -p "$T/repo/deploy/overlays/k3s/secrets" "$T/bin" "$T/root"
  cp -r "$REPO/scripts" "$T/repo/"
  cp "$HERE/fake/overlay.yaml" "$T/repo/deploy/overlays/k3s/"
  printf 'resources: [overlay.yaml]\n' >"$T/repo/deploy/overlays/k3s/kustomization.yaml"
  SECRETS=$T/repo/deploy/overlays/k3s/secrets
  printf 'postgres://etl_reader:Re4d%%21only@postgres:5432/shop' >"$SECRETS/etl-source-url"
  printf 'mssql://etl_job:J0b%%40secretly@mssql:1433/dw' >"$SECRETS/etl-target-url"
  printf 'mssql://etl_metrics:M3trics.only@mssql:1433/dw' >"$SECRETS/etl-metrics-url"
  printf 'Adm1n%%istrator' >"$SECRETS/mssql-sa-password"
  printf 'mssql://sa:Adm1n%%25istrator@mssql:1433/master' >"$SECRETS/mssql-admin-url"
  printf 'look at graphs' >"$SECRETS/grafana-admin-password"
  [ -s "$T/mssql.crt" ] || certificate mssql DNS:mssql,DNS:mssql.etl-poc.svc 30
  cp "$T/ca.crt" "$T/mssql.crt" "$T/mssql.key" "$SECRETS/"
  printf 'namespace: etl-poc\nsecretGenerator:\n- {name: etl-source, files: [url=etl-source-url], options: {disableNameSuffixHash: true}}\n' \
    >"$SECRETS/kustomization.yaml"
  cp "$HERE/fake/kubectl" "$T/bin/kubectl"
  : >"$T/log"
}

# run CODE COMMAND...: in the repository, with the stand-ins first in PATH.
run() {
  local expected=$1 code=0
  shift
  (cd "$T/repo" && FAKE_LOG=$T/log POLL_SECONDS=0.01 PATH=$T/bin:$PATH "$@") >"$T/out" 2>&1 </dev/null || code=$?
  [ "$code" = "$expected" ] || fail "$* ended with $code; $expected was expected"
}

apply() { run "$1" scripts/apply-all.sh --overlay k3s --context lab --yes "${@:2}"; }

fail() {
  printf 'FAILED: %s: %s\n--- output\n' "${CASE:-?}" "$*" >&2
  cat "$T/out" >&2 2>/dev/null || true
  printf -- '--- calls\n' >&2
  tail -n 15 "$T/log" >&2 2>/dev/null || true
  exit 1
}

it() { CASE=$1 && PASSED=$((PASSED + 1)) && world; }
said() { grep -qF -- "$1" "$T/out" || fail "it did not say: $1"; }
said_not() { ! grep -qF -- "$1" "$T/out" || fail "it said: $1"; }
called() { grep -qE -- "$1" "$T/log" || fail "kubectl was not called with: $1"; }
called_not() { ! grep -qE -- "$1" "$T/log" || fail "kubectl was called with: $1"; }

# Anything that stores something in the cluster.
CHANGES='^--context [^ ]* (apply .*-f [^-]|apply -|delete|create|patch|annotate|label|scale)'
nothing_changed() {
  ! grep -E "$CHANGES" "$T/log" | grep -v 'dry-run=server' || fail "the cluster was changed"
}

# order PATTERN...: each of these calls was made, in this order.
order() {
  local line=0 next pattern
  for pattern in "$@"; do
    next=$(grep -nE -- "$pattern" "$T/log" | cut -d: -f1 | awk -v after="$line" '$1 > after { print; exit }' || true)
    [ -n "$next" ] || fail "no call '$pattern' after line $line of the calls"
    line=$next
  done
}
