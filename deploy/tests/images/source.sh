# shellcheck shell=bash disable=SC2034,SC2154 # one script in parts: variables of the others
# Sourced. The demo's source from deploy/compose/source.yaml, with secrets made for this run.

secrets=
source_compose() {
  env -u COMPOSE_FILE COMPOSE_PROJECT_NAME="$project" ETL_SECRETS_DIR="$secrets" ETL_SOURCE_ADDRESS=127.0.0.1 \
    ETL_SOURCE_PORT=0 ORDERS_EVERY=1 "${compose[@]}" -f deploy/compose/source.yaml "$@"
}

stop_source() {
  [ -n "$secrets" ] || return 0
  "${docker[@]}" rm --force "$project-metrics" >/dev/null 2>&1 || true
  source_compose down --volumes --timeout 5 >/dev/null 2>&1 || true
}

start_source() {
  mkdir "$work/place"
  scripts/make-secrets.sh "$work/place" 2>/dev/null
  cp -r "$work/place/secrets" "$work/placeholder"
  printf 'postgres://etl_reader:CHANGE_ME@postgres:5432/shop' >"$work/placeholder/etl-source-url"
  secrets=$work/placeholder
  if source_compose up --detach >"$work/said" 2>&1; then
    fail "a placeholder password: the source starts with it"
  else
    same "a placeholder password: exit code of the service secrets" 64 "$("${docker[@]}" wait "$(source_compose ps --all --quiet secrets)")"
    source_compose logs secrets >"$work/said" 2>&1
    said "a placeholder password is refused by name" 'etl-source-url holds a placeholder'
    same "a placeholder password: Postgres was never started" "" "$("${docker[@]}" ps --all --quiet --filter "name=${project}.postgres" --filter status=running)"
  fi
  stop_source
  secrets=$work/place/secrets
  source_compose up --detach >"$work/said" 2>&1 || { cat "$work/said"; fail "starting deploy/compose/source.yaml"; summary; exit 1; }
  pass "the source is up and healthy"
  network=${project}_default
}

# psql in a container of its own, as the reader and over the network; options of libpq first.
reader() { # CONNECTION-OPTIONS SQL
  local password
  password=$(sed -E 's|.*etl_reader:([^@]*)@.*|\1|' "$secrets/etl-source-url")
  timeout 60 "${docker[@]}" run --rm --network "$network" --entrypoint psql --env PGPASSWORD="$password" \
    --volume "$secrets/ca.crt:/ca.crt:ro" --volume "$work/other/ca.crt:/other.crt:ro" "$POSTGRES_IMAGE" \
    -XAt -v ON_ERROR_STOP=1 -c "$2" "host=postgres dbname=shop user=etl_reader $1"
}

# As superuser, in the server's own container.
at_source() { source_compose exec -T postgres psql -XAtq -U postgres -d shop -c "$1"; }

check_source() {
  local before verified="sslmode=verify-full sslrootcert=/ca.crt" statement
  scripts/make-certs.sh "$work/other" 2>/dev/null
  expect "the reader reads with a verified certificate" 0 reader "$verified" "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
  said "the reader's connection is encrypted" '^t\|TLSv1.[23]'
  expect "control: another CA does not verify it" 2 reader "sslmode=verify-full sslrootcert=/other.crt" "SELECT 1"
  expect "without TLS nobody comes in" 2 reader "sslmode=disable" "SELECT 1"
  said "without TLS: the reason" 'no encryption'
  for statement in "INSERT INTO orders (customer, status, amount) VALUES ('x', 'pending', 1)" "UPDATE orders SET note = 'x'" \
    "DELETE FROM orders" "TRUNCATE orders" "CREATE TABLE mine (id int)" "CREATE TEMP TABLE mine (id int)"; do
    expect "the reader cannot: $statement" 1 reader "$verified" "$statement"
    said "the reader cannot: for want of a right" 'permission denied'
  done
  at_source "GRANT UPDATE ON orders TO etl_reader"
  expect "control: with the right it could" 0 reader "$verified" "UPDATE orders SET note = note WHERE id = 1"
  at_source "REVOKE UPDATE ON orders FROM etl_reader"
  expect "the reader sees when transactions began" 0 reader "$verified" "SELECT pg_has_role('pg_read_all_stats', 'USAGE')"
  said "the reader has pg_read_all_stats" '^t$'
  same "orders in all states" 5 "$(at_source "SELECT count(DISTINCT status) FROM orders")"
  before=$(at_source "SELECT count(*) || '/' || max(updated_at) FROM orders")
  sleep 4
  holds "orders come in" test "$before" != "$(at_source "SELECT count(*) || '/' || max(updated_at) FROM orders")"
}
