# shellcheck shell=bash disable=SC2034,SC2154 # one script in parts: variables of the others
# Sourced. The images at work: mssql-init, check and run from the cluster's own pipeline file.

pipeline=deploy/base/etl/orders.yaml
double=
stop_double() {
  [ -z "$double" ] || kill "$double" 2>/dev/null || true
}

# The tests' TDS server on this machine, with the certificate of SQL Server, where the source's
# network reaches it by the name mssql.
start_double() {
  local gateway target=${CARGO_TARGET_DIR:-target}
  cargo build --locked --quiet --workspace --bins
  gateway=$("${docker[@]}" network inspect --format '{{(index .IPAM.Config 0).Gateway}}' "$network")
  "$target/debug/tds-double" --listen "$gateway:0" --sa-password-file "$secrets/mssql-sa-password" --require-tls \
    --tls-cert "$secrets/mssql.crt" --tls-key "$secrets/mssql.key" --database master >"$work/double" 2>"$work/double.log" &
  double=$!
  local try
  for try in $(seq 50); do
    ! grep -q listening "$work/double" || break
    sleep 0.1
  done
  address=$(sed -n 's/^listening on //p' "$work/double")
  [ -n "$address" ] || { fail "the TDS server did not start after $try tries: $(cat "$work/double.log")"; summary; exit 1; }
  rows=("$target/debug/mssql-rows" --host "${address%:*}" --url-file "$work/target-url")
  lay_out
}

# The folders as the manifests mount them, in $work/run.
lay_out() {
  local run=$work/run port=${address##*:} url
  mkdir -p "$run"/{source,target,admin,metrics}
  cp "$secrets/etl-source-url" "$run/source/url"
  for url in target:etl-target-url admin:mssql-admin-url metrics:etl-metrics-url; do
    sed "s/:1433/:$port/" "$secrets/${url#*:}" >"$run/${url%%:*}/url"
  done
  cp "$run/target/url" "$work/target-url"
  # For uid 65532; to others on this machine $work itself is closed.
  chmod -R a+rX "$run"
}

# One of our images with the pipeline file, trust and secrets; further options come first.
job() { # NAME OPTION... -- ARGUMENT...
  local image options=()
  image=$(image_of "$1")
  shift
  while [ "$1" != -- ]; do
    options+=("$1")
    shift
  done
  shift
  hardened --network "$network" --add-host "mssql:${address%:*}" --volume "$PWD/$pipeline:/etc/etl/pipeline/orders.yaml:ro" \
    --volume "$secrets/ca.crt:/etc/etl/trust/ca.crt:ro" "${options[@]}" "$image" "$@"
}

check_runs() {
  local mounted=(--volume "$work/run:/run/secrets/etl:ro")
  local init=("${mounted[@]}" --env MSSQL_ADMIN_URL_FILE=/run/secrets/etl/admin/url --env MSSQL_METRICS_URL_FILE=/run/secrets/etl/metrics/url)
  local file=/etc/etl/pipeline/orders.yaml query
  expect "lint without any secret" 0 job etl-job -- lint "$file"
  expect "a run before mssql-init: no such login" 77 job etl-job "${mounted[@]}" -- run "$file" --json
  expect "mssql-init" 0 job mssql-init "${init[@]}" -- "$file" --wait 30s
  expect "mssql-init again" 0 job mssql-init "${init[@]}" -- "$file" --wait 30s
  expect "check" 0 job etl-job "${mounted[@]}" -- check "$file"
  expect "a run while orders come in" 0 job etl-job "${mounted[@]}" -- run "$file" --json
  said "a run while orders come in: it wrote" '"written":[1-9]'
  source_compose stop --timeout 5 orders >/dev/null 2>&1
  # The horizon is two seconds behind the clock.
  sleep 3
  expect "a run after the last order" 0 job etl-job "${mounted[@]}" -- run "$file" --json
  query="SELECT id, customer, status, amount, coalesce(note, '<null>'), to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM orders WHERE status = 'confirmed' ORDER BY id"
  at_source "$query" >"$work/wanted"
  "${rows[@]}" "SELECT [id], [customer], [status], [amount], COALESCE([note], N'<null>') AS [note], [updated_at] FROM [dbo].[orders] ORDER BY [id];" >"$work/found"
  if [ "$(wc -l <"$work/wanted")" -gt 500 ] && cmp -s "$work/wanted" "$work/found"; then
    pass "all $(wc -l <"$work/wanted") confirmed orders are there, each once and with every value"
  else
    fail "the target differs: $(diff "$work/wanted" "$work/found" | head -n 6)"
  fi
  at_source "UPDATE orders SET note = 'planted' WHERE id = (SELECT max(id) FROM orders WHERE status = 'confirmed')"
  at_source "$query" >"$work/wanted"
  holds "control: a changed order is a difference" refuses cmp -s "$work/wanted" "$work/found"
}

# The body that a container's port 9464 gives for a path.
page() { # CONTAINER PATH
  local ip
  ip=$("${docker[@]}" inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1")
  { exec 3<>"/dev/tcp/$ip/9464" && printf 'GET %s HTTP/1.0\r\nHost: etl-metrics\r\n\r\n' "$2" >&3 && timeout 10 cat <&3; } 2>/dev/null
}

# etl-metrics, as its Deployment runs it: the read-only login in the place of the target's URL.
check_metrics() {
  local try
  expect "etl-metrics starts" 0 job etl-job --detach --name "$project-metrics" --volume "$work/run/metrics:/run/secrets/etl/target:ro" -- \
    serve --metrics-only /etc/etl/pipeline/orders.yaml --addr 0.0.0.0:9464
  for try in $(seq 30); do
    page "$project-metrics" /metrics >"$work/said" || true
    ! grep -q '^etl_ledger_up{.*} 1' "$work/said" || break
    sleep 1
  done
  said "etl-metrics reads the ledger (try $try)" '^etl_ledger_up\{.*\} 1'
  said "etl-metrics counts the successes" '^etl_ledger_runs_total\{.*outcome="success".*\} [1-9]'
  page "$project-metrics" /healthz >"$work/said" || true
  said "etl-metrics is alive" '200 OK'
  expect "etl-metrics stops when told" 0 timeout 8 "${docker[@]}" stop --time 20 "$project-metrics"
}

check_refusals() {
  local file=/etc/etl/pipeline/orders.yaml begun kind
  for kind in source target; do
    cp -r "$work/run" "$work/bad-$kind"
    sed -i -E 's|://([^:]*):[^@]*@|://\1:CHANGE_ME@|' "$work/bad-$kind/$kind/url"
    expect "a placeholder in the $kind's URL" 64 job etl-job --volume "$work/bad-$kind:/run/secrets/etl:ro" -- run "$file"
    said "a placeholder in the $kind's URL: the message" "$kind.url: the password is one of those that stand in examples"
  done
  expect "a missing secret" 64 job etl-job -- run "$file"
  said "a missing secret: the message names the file" '/run/secrets/etl/source/url'
  expect "a missing administrator's URL" 64 job mssql-init --volume "$work/run:/run/secrets/etl:ro" -- "$file"
  cp -r "$work/run" "$work/away"
  sed -i 's|@postgres:5432|@postgres:5433|' "$work/away/source/url"
  begun=$SECONDS
  expect "Postgres cannot be reached" 75 job etl-job --volume "$work/away:/run/secrets/etl:ro" -- run "$file" --deadline 10s
  holds "Postgres cannot be reached: it ends by its deadline of 10 s" test $((SECONDS - begun)) -le 20
  expect "the hardened container cannot write its root" 64 job etl-job -- demo --dir /var/etl-demo --rows 10
}

# The engine's Postgres image is what the tests' contract runs on.
check_testcontainers() {
  local before after
  before=$("${docker[@]}" ps --quiet | sort)
  if ETL_TEST_PG_IMAGE=$POSTGRES_IMAGE cargo test --locked --quiet --workspace --test integration -- --nocapture \
    the_contract_of_sources_holds_on_the_official_postgres_image >"$work/said" 2>&1; then
    if grep -q 'NOT RUN' "$work/said"; then fail "testcontainers: $(grep 'NOT RUN' "$work/said")"; else pass "testcontainers: the contract of sources holds on $POSTGRES_IMAGE"; fi
    said "testcontainers: one test ran" '1 passed'
  else
    fail "testcontainers: $(tail -n 20 "$work/said")"
  fi
  sleep 2
  after=$("${docker[@]}" ps --quiet | sort)
  same "testcontainers: no container is left behind" "$before" "$after"
  if ! "${docker[@]}" image inspect mcr.microsoft.com/mssql/server:2022-CU14-ubuntu-22.04 >/dev/null 2>&1; then
    not_run "the runs above against Microsoft's SQL Server, and deploy/compose/compose.yaml as a whole (its images are not here)"
  fi
}
