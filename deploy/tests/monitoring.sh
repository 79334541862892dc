#!/usr/bin/env bash
# Checks deploy/monitoring and deploy/logging without a cluster: rules, dashboards, configurations. Installs the
# tools that Debian has. What cannot run here says NOT RUN by name; 1 at the end if anything failed.
#
# PROMTOOL, AMTOOL, FLUENT_BIT and LOKI name other binaries than those on the path.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

# The programs alone: installed, these packages would start their servers.
UNPACKED=${XDG_CACHE_HOME:-$HOME/.cache}/etl-ci/debian
PATH=$PATH:$UNPACKED/usr/bin
command -v promtool >/dev/null || apt_unpack "$UNPACKED" prometheus
command -v amtool >/dev/null || apt_unpack "$UNPACKED" prometheus-alertmanager
command -v python3 >/dev/null || apt_install python3
python3 -c 'import yaml' 2>/dev/null || apt_install python3-yaml
command -v luajit >/dev/null || apt_install luajit
command -v npm >/dev/null || apt_install nodejs npm
PROMTOOL=${PROMTOOL:-promtool}
AMTOOL=${AMTOOL:-amtool}
FLUENT_BIT=${FLUENT_BIT:-$(command -v fluent-bit || true)}
LOKI=${LOKI:-$(command -v grafana-loki || true)}

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
FAILED=0 PASSED=0
PARTS=deploy/tests/monitoring
RULES=deploy/monitoring/rules

check() {
  local name=$1
  shift
  if "$@" >"$WORK/said" 2>&1; then
    PASSED=$((PASSED + 1))
    echo "ok   $name"
  else
    FAILED=$((FAILED + 1))
    echo "FAIL $name"
    sed 's/^/     /' "$WORK/said"
  fi
}

# fails NAME COMMAND...: a control. The command has to find the fault that was planted.
fails() {
  local name=$1
  shift
  if "$@" >"$WORK/said" 2>&1; then
    FAILED=$((FAILED + 1))
    echo "FAIL control: $name was not found"
  else
    PASSED=$((PASSED + 1))
    echo "ok   control: $name"
  fi
}

check "rules are valid" "$PROMTOOL" check rules $RULES/etl.rules.yml $RULES/platform.rules.yml
check "rules fire when they must and are silent when they must" \
  "$PROMTOOL" test rules $RULES/etl.rules.test.yml $RULES/platform.rules.test.yml
check "every alert has labels, a runbook and tests for both" python3 $PARTS/rules.py alerts
check "every alert's test notices when the alert changes" \
  python3 $PARTS/rules.py mutants "$PROMTOOL" "$WORK"

# Debian's promtool is built without service discovery in Kubernetes, and a good file looks wrong to it.
"$PROMTOOL" check config --syntax-only deploy/monitoring/prometheus/prometheus.yml >"$WORK/said" 2>&1
if grep -q 'kubernetes_sd_configs not found' "$WORK/said"; then
  echo "NOT RUN kubernetes_sd_configs of prometheus.yml: this promtool does not know them"
  python3 $PARTS/rules.py without-discovery >"$WORK/prometheus.yml"
  check "prometheus.yml is valid but for service discovery" \
    "$PROMTOOL" check config --syntax-only "$WORK/prometheus.yml"
else
  check "prometheus.yml is valid" \
    "$PROMTOOL" check config --syntax-only deploy/monitoring/prometheus/prometheus.yml
fi

check "dashboards keep the conventions" python3 $PARTS/dashboards.py conventions
python3 $PARTS/dashboards.py promql >"$WORK/dashboards.rules.yml"
check "every PromQL query of the dashboards parses" "$PROMTOOL" check rules "$WORK/dashboards.rules.yml"
sed '0,/expr: /s/expr: /expr: sum(/' "$WORK/dashboards.rules.yml" >"$WORK/broken.rules.yml"
fails "a query with one bracket too many" "$PROMTOOL" check rules "$WORK/broken.rules.yml"
check "external-metrics.txt has each foreign metric that is asked for, and no other" \
  python3 $PARTS/dashboards.py metrics

# Grafana's own grammar of LogQL.
LOGQL=${XDG_CACHE_HOME:-$HOME/.cache}/etl-ci/logql
mkdir -p "$LOGQL"
cp $PARTS/logql.mjs "$LOGQL/"
if [ -d "$LOGQL/node_modules/@grafana/lezer-logql" ] ||
  npm install --silent --no-audit --no-fund --prefix "$LOGQL" @grafana/lezer-logql@0.4.2 @lezer/lr@1.4.10 >"$WORK/said" 2>&1; then
  python3 $PARTS/dashboards.py logql >"$WORK/logql.json"
  check "every LogQL query of the dashboards parses" node "$LOGQL/logql.mjs" "$WORK/logql.json"
  echo '{"control": "{app=\"etl-job\"} | json |"}' >"$WORK/broken.json"
  fails "a LogQL query that breaks off" node "$LOGQL/logql.mjs" "$WORK/broken.json"
else
  echo "NOT RUN LogQL grammar: npm has no @grafana/lezer-logql for us: $(tail -n 1 "$WORK/said")"
fi

AM=deploy/monitoring/alertmanager/alertmanager.yml
check "alertmanager.yml is valid" "$AMTOOL" check-config $AM
routes() { "$AMTOOL" config routes test --config.file=$AM --verify.receivers="$1" "${@:2}"; }
check "a critical alert goes to critical" routes critical alertname=EtlNoSuccess severity=critical
check "a warning goes to default" routes default alertname=EtlTlsUnverified severity=warning
check "the Watchdog goes to watchdog" routes watchdog alertname=Watchdog severity=none
fails "a critical alert at default" routes default alertname=EtlNoSuccess severity=critical
check "the example with a receiver is valid" "$AMTOOL" check-config deploy/components/alert-receiver/alertmanager.yml

check "shape.lua labels lines as it says" luajit $PARTS/shape_test.lua deploy/logging/fluent-bit/shape.lua
if [ -n "$FLUENT_BIT" ]; then
  check "Fluent Bit ships what containerd wrote" \
    python3 $PARTS/ship.py "$FLUENT_BIT" deploy/logging/fluent-bit "$WORK"
else
  echo "NOT RUN fluent-bit.yaml: no fluent-bit on the path, and FLUENT_BIT names none"
fi
if [ -n "$LOKI" ]; then
  check "loki.yaml is valid" "$LOKI" -config.file=deploy/logging/loki/loki.yaml -verify-config
else
  echo "NOT RUN loki.yaml: no grafana-loki on the path, and LOKI names none"
fi

echo "monitoring: $PASSED passed, $FAILED failed"
[ "$FAILED" -eq 0 ]
