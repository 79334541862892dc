#!/usr/bin/env bash
# Random passwords and the certificates for a place where the stack runs:
#
#   scripts/make-secrets.sh PLACE [NAME-OR-ADDRESS ...]
#
# PLACE is deploy/compose or an overlay such as deploy/overlays/k3s; the files go to PLACE/secrets,
# which git ignores. A file that is there is kept, so it may run again: to change a password, tell
# the server first (docs/operations.md), take its files away and run this. Further names and addresses
# go into Postgres' certificate. deploy/compose/.env is written if there is none.
set -euo pipefail
umask 077
root=$(cd "$(dirname "$0")/.." && pwd)

die() {
  printf 'make-secrets.sh: %s\n' "$*" >&2
  exit 64
}
say() { printf 'make-secrets.sh: %s\n' "$*" >&2; }

[ -d "${1:-}" ] || die "usage: make-secrets.sh PLACE [NAME-OR-ADDRESS ...]; PLACE is deploy/compose or a folder of deploy/overlays"
command -v openssl >/dev/null || die "openssl is missing; install it"
place=$(cd "$1" && pwd)
shift
dir=$place/secrets
mkdir -p "$dir"

# Upper case, lower case and digits, which SQL Server's policy asks for; nothing to encode in a URL.
password() {
  local made
  while :; do
    made=$(openssl rand -base64 48 | tr -d '+/=\n' | cut -c1-32)
    [[ $made =~ [A-Z] && $made =~ [a-z] && $made =~ [0-9] && ${#made} -eq 32 ]] && break
  done
  printf '%s' "$made"
}

encoded() { # TEXT, as a URL's userinfo takes it
  local LC_ALL=C text=$1 at char
  for ((at = 0; at < ${#text}; at++)); do
    char=${text:at:1}
    case $char in
      [A-Za-z0-9._~-]) printf '%s' "$char" ;;
      *) printf '%%%02X' "'$char" ;;
    esac
  done
}

# Writes the second argument to file $1 unless it is there, whole or not at all.
write() {
  local file=$dir/$1
  if [ -e "$file" ]; then
    [ -s "$file" ] || die "$file is empty: put the value in or take the file away"
    ! grep -qi 'change_me' "$file" || die "$file still holds the example's CHANGE_ME: put the value in or take the file away"
    say "kept $file"
    return
  fi
  printf '%s' "$2" >"$file.new"
  mv "$file.new" "$file"
  say "made $file"
}

write etl-source-url "postgres://etl_reader:$(password)@postgres:5432/shop"
write etl-target-url "mssql://etl_job:$(password)@mssql:1433/dw"
write etl-metrics-url "mssql://etl_metrics:$(password)@mssql:1433/dw"
write mssql-sa-password "$(password)"
write mssql-admin-url "mssql://sa:$(encoded "$(cat "$dir/mssql-sa-password")")@mssql:1433/master"
write grafana-admin-password "$(password)"
write postgres-password "$(password)"
"$root/scripts/make-certs.sh" "$dir" "$@"

# A place outside of this checkout has a compose of its own.
case $dir in "$root"/*) ;; *) exit 0 ;; esac
settings=$root/deploy/compose/.env
line=ETL_SECRETS_DIR=../../${dir#"$root"/}
if [ ! -e "$settings" ]; then
  sed "s|^ETL_SECRETS_DIR=.*|$line|" "$root/deploy/compose/.env.example" >"$settings"
  say "made $settings"
elif ! grep -qxF "$line" "$settings"; then
  say "kept $settings, which does not say $line"
fi
