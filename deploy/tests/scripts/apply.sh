# What apply-all.sh does when all is well, and when something fails half way.
# shellcheck shell=bash disable=SC2015,SC2030,SC2031,SC2034,SC2154

it "applies each step and waits before the next"
apply 0
order 'apply .*/namespaces.yaml' 'wait .*namespace/etl-poc' 'apply .*/rules.yaml' 'apply .*/secrets.yaml' \
  'apply .*/data.yaml' 'rollout status statefulset/mssql -n etl-poc' \
  'delete job mssql-init .*--wait' 'apply .*/init.yaml' 'get job mssql-init' \
  'apply .*/etl.yaml' 'rollout status deployment/etl-metrics' 'apply .*/monitoring.yaml' \
  'rollout status deployment/grafana -n monitoring' 'apply .*/logging.yaml' 'rollout status daemonset/fluent-bit' \
  'create job etl-orders-first-.* --from=cronjob/etl-orders' 'get job etl-orders-first'
called 'apply --server-side --field-manager=etl-deploy'
called_not 'force-conflicts'
said 'All is applied and works.'
! grep -v '^--context lab\|^config' "$T/log" || fail "a call without the confirmed context"

it "asks the server about every object before the first is stored"
apply 0
[ "$(grep -n 'dry-run=server' "$T/log" | tail -n 1 | cut -d: -f1)" -lt "$(grep -n 'apply .*/namespaces.yaml' "$T/log" | head -n 1 | cut -d: -f1)" ] ||
  fail "something was applied before the last dry run"
[ "$(grep -c 'dry-run=server' "$T/log")" -eq 8 ] || fail "not every step was asked about"

it "a dry run makes every check and no change"
run 0 scripts/apply-all.sh --overlay k3s --dry-run
nothing_changed
called 'dry-run=server'
said 'Dry run: nothing was changed.'

it "--no-run starts nothing"
apply 0 --no-run
called_not 'create job'

it "--force-conflicts and --timeout are handed on"
apply 0 --force-conflicts --timeout 90s
called 'apply .*--force-conflicts .*/etl.yaml'
called 'delete job .* --timeout=90s'

it "every object of a render belongs to exactly one step"
# shellcheck source=scripts/steps.sh
. "$REPO/scripts/steps.sh"
kubectl kustomize "$T/repo/deploy/overlays/k3s" >"$T/all.yaml"
mkdir -p "$T/steps" && rm -f "$T/steps"/* && lay_out "$T/all.yaml" "$T/steps"
[ "$(cat "$T/steps"/*.yaml | grep -c '^kind:')" -eq "$(grep -c '^kind:' "$T/all.yaml")" ] || fail "objects were lost or doubled"
[ "$(cd "$T/steps" && printf '%s ' *.yaml)" = "data.yaml etl.yaml init.yaml logging.yaml monitoring.yaml namespaces.yaml rules.yaml " ] || fail "steps are missing"
grep -q 'kind: StatefulSet' "$T/steps/data.yaml" || fail "SQL Server is not in step data"
for overlay in deploy/overlays/*/; do
  kubectl kustomize "$overlay" >"$T/all.yaml" 2>"$T/out" || fail "$overlay cannot be rendered"
  rm -f "$T/steps"/* && lay_out "$T/all.yaml" "$T/steps"
  [ "$(cat "$T/steps"/*.yaml | grep -c '^kind:')" -eq "$(grep -c '^kind:' "$T/all.yaml")" ] || fail "$overlay: objects were lost or doubled"
  for step in namespaces rules data init etl monitoring logging; do [ -s "$T/steps/$step.yaml" ] || fail "$overlay: step $step is empty"; done
done

it "a failed preparation ends it at once, with its log, and says what was applied"
FAKE_JOB=failed apply 1 --timeout 30s
said 'Job etl-poc/mssql-init has failed (Pod failed with exit code 77)'
said 'log line of the job'
said 'Stopped in step init. Applied before: namespaces rules secrets data. Not applied:  etl monitoring logging first-run.'
said 'run the same command again'
called_not 'apply .*/etl.yaml'

it "an image that is not there ends it before the time is over"
FAKE_JOB=running FAKE_WAITING=ImagePullBackOff apply 1 --timeout 40s
said 'Job etl-poc/mssql-init cannot start'
said 'sudo scripts/install-k3s.sh --images'

it "a preparation that does not end is told as that"
FAKE_JOB=running apply 75 --timeout 1s
said 'was not done within 1s'

it "a database that does not get ready stops before the preparation"
FAKE_NOT_READY=statefulset/mssql FAKE_EVENTS=FailedScheduling apply 75 --timeout 1s
said 'StatefulSet etl-poc/mssql was not ready within 1s'
said 'No node takes the pod'
called_not 'apply .*/init.yaml'
said 'Applied before: namespaces rules secrets.'

it "a container that ends again and again is not waited for, and its last words are shown"
FAKE_NOT_READY=deployment/etl-metrics FAKE_WAITING=CrashLoopBackOff apply 1 --timeout 40s
said 'Deployment etl-poc/etl-metrics cannot start'
said 'log line of the job'
said 'Applied before: namespaces rules secrets data init.'

it "an object that is refused half way is told with what was applied"
FAKE_APPLY_FAILS='kind: CronJob' apply 1
said 'refused an object of step etl'
said 'Applied before: namespaces rules secrets data init.'

it "with the Secrets in the cluster none is applied"
mkdir -p "$T/held" && cp "$SECRETS"/* "$T/held/"
rm "$SECRETS"/*
export FAKE_CLUSTER_SECRETS=$T/held FAKE_SECRETS_TABLE=$T/table
sed -n "/^SECRETS='/,/'\$/p" "$REPO/scripts/preflight.sh" | sed "s/^SECRETS='//; s/'\$//" >"$T/table"
apply 0 --secrets cluster
called_not 'apply .*/secrets.yaml'

it "a Secret that is missing in the cluster is named" && rm "$T/held/grafana-admin-password"
apply 65 --secrets cluster
said "secret/grafana-admin in namespace monitoring has no key 'password'"
nothing_changed

it "a Secret in the cluster that holds a placeholder is named" && printf hunter2 >"$T/held/grafana-admin-password"
echo 'mssql://etl_job:CHANGE_ME@mssql:1433/dw' >"$T/held/etl-target-url"
apply 65 --secrets cluster
said 'secret/etl-target in etl-poc holds a placeholder'
nothing_changed

# Of an operator: applied as the step secrets, waited for, then checked by the same rules.
external() {
  printf -- '---\napiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: etl-source, namespace: etl-poc}\n' >>"$T/repo/deploy/overlays/k3s/overlay.yaml"
}
it "ExternalSecrets are waited for, and what they bring is checked" && external
apply 1 --secrets cluster
order 'apply .*/secrets.yaml' 'wait --for=condition=Ready externalsecret --all -n etl-poc' 'get secret/etl-target'
said 'secret/etl-target in etl-poc holds a placeholder'
said 'Stopped in step secrets. Applied before: namespaces rules.'
called_not 'apply .*/data.yaml'
it "ExternalSecrets and files exclude each other" && external && apply 64 && said 'Add --secrets cluster' && nothing_changed
unset FAKE_CLUSTER_SECRETS FAKE_SECRETS_TABLE
