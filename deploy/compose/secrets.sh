#!/usr/bin/env bash
# Run by the service `secrets`. Each argument is the list of one folder of /out: its name, the user
# id that may read it, and FILE=NAME for each file of /secrets.
set -euo pipefail
umask 077

die() {
  echo "secrets: $*; nothing starts. See scripts/make-secrets.sh" >&2
  exit 64
}

for list in "$@"; do
  read -r folder user files <<<"$list"
  for pair in $files; do
    file=/secrets/${pair%%=*}
    [ -s "$file" ] || die "${pair%%=*} is missing or empty in ETL_SECRETS_DIR"
    ! grep -qiE 'change[_-]?me|<password>|yourstrong' "$file" || die "${pair%%=*} holds a placeholder from an example"
    ! grep -qxiE '([a-z]+://[^:]*:)?(password|passw0rd|p@ssw0rd|secret|admin|postgres|root|test|example|123456(78)?)(@.*)?' "$file" ||
      die "${pair%%=*} holds a password that everybody tries first"
  done
  for pair in $files; do
    install -D -m 0400 "/secrets/${pair%%=*}" "/out/$folder/${pair#*=}"
  done
  chown -R "$user:$user" "/out/$folder"
  find "/out/$folder" -type d -exec chmod 0500 {} +
  echo "secrets: $folder has its $(wc -w <<<"$files") files"
done
