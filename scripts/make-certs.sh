#!/usr/bin/env bash
# A CA of your own, and the certificates of both servers that it signed:
#
#   scripts/make-certs.sh DIR [NAME-OR-ADDRESS ...]
#
# writes DIR/ca.crt ca.key mssql.crt mssql.key postgres.crt postgres.key. Further names and IP
# addresses are for Postgres, which clients outside of the cluster reach by them; give all of them
# each time. What is there and still good is kept, so it may run again; a certificate that has less
# than 30 days left, lacks a name or is of another CA is made anew. Who has ca.key can pose as your
# servers: once the certificates are made, it may be kept elsewhere.
set -euo pipefail
umask 077

die() {
  printf 'make-certs.sh: %s\n' "$*" >&2
  exit 64
}
say() { printf 'make-certs.sh: %s\n' "$*" >&2; }

case ${1:-} in
  '' | -*) die "usage: make-certs.sh DIR [NAME-OR-ADDRESS ...]" ;;
esac
command -v openssl >/dev/null || die "openssl is missing; install it"
dir=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
month=$((30 * 24 * 3600))

# DNS:a or IP:b, one a line, of the names given.
alternatives() {
  local name
  for name in "$@"; do
    case $name in
      *[!A-Za-z0-9.:-]* | '') die "neither a name nor an address: '$name'" ;;
      *:* | *[0-9].[0-9]*.[0-9]*.[0-9]*) [[ $name =~ [g-zG-Z] ]] && echo "DNS:$name" || echo "IP:$name" ;;
      *) echo "DNS:$name" ;;
    esac
  done
}

same_key() { # CERTIFICATE KEY
  [ "$(openssl x509 -in "$1" -noout -pubkey 2>/dev/null)" = "$(openssl pkey -in "$2" -pubout 2>/dev/null)" ]
}

holds() { # CERTIFICATE ALTERNATIVE
  case $2 in
    IP:*) openssl x509 -in "$1" -noout -checkip "${2#IP:}" ;;
    *) openssl x509 -in "$1" -noout -checkhost "${2#DNS:}" ;;
  esac | grep -q 'does match'
}

# Why the certificate of $1 cannot stay; nothing if it can. The names that it must hold follow.
fault() {
  local crt=$dir/$1.crt key=$dir/$1.key name
  shift
  [ -s "$crt" ] && [ -s "$key" ] || { echo "missing"; return; }
  openssl x509 -in "$crt" -noout -checkend "$month" >/dev/null 2>&1 || { echo "30 days or less left, or no certificate"; return; }
  same_key "$crt" "$key" || { echo "the key is another one's"; return; }
  openssl verify -CAfile "$dir/ca.crt" "$crt" >/dev/null 2>&1 || { echo "of another CA"; return; }
  for name in "$@"; do
    holds "$crt" "$name" || { echo "it lacks $name"; return; }
  done
}

# Both files of $1 from $work to their place, the key first: a certificate never stands without it.
install_pair() {
  mv "$work/$1.key" "$dir/$1.key"
  chmod 0644 "$work/$1.crt"
  mv "$work/$1.crt" "$dir/$1.crt"
}

authority() {
  local why
  # A CA whose key is kept elsewhere serves as long as nothing has to be signed.
  if [ -s "$dir/ca.crt" ] && [ ! -e "$dir/ca.key" ]; then
    say "kept $dir/ca.crt, whose key is not here"
    return
  fi
  why=$(fault ca)
  if [ -z "$why" ]; then
    say "kept $dir/ca.crt"
    return
  fi
  openssl req -x509 -newkey rsa:3072 -nodes -sha256 -days 1825 -subj "/CN=etl demo CA $(openssl rand -hex 4)" \
    -addext basicConstraints=critical,CA:true,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign \
    -keyout "$work/ca.key" -out "$work/ca.crt" 2>"$work/log" || die "making the CA: $(cat "$work/log")"
  install_pair ca
  say "made $dir/ca.crt ($why)"
}

# RSA: SQL Server on Linux takes no other key.
server() { # SERVER ALTERNATIVE...
  local name=$1 why joined
  shift
  why=$(fault "$name" "$@")
  if [ -z "$why" ]; then
    say "kept $dir/$name.crt"
    return
  fi
  [ -s "$dir/ca.key" ] || die "$dir/$name.crt has to be made ($why), but $dir/ca.key is not here: put it back, or take ca.crt away for a new CA"
  joined=$(IFS=,; echo "$*")
  printf 'subjectAltName=%s\nbasicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth\n' \
    "$joined" >"$work/extensions"
  {
    openssl req -new -newkey rsa:2048 -nodes -sha256 -subj "/CN=$name" -keyout "$work/$name.key" -out "$work/request" &&
      openssl x509 -req -sha256 -days 397 -in "$work/request" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" \
        -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/extensions" -out "$work/$name.crt"
  } 2>"$work/log" || die "making the certificate of $name: $(cat "$work/log")"
  install_pair "$name"
  say "made $dir/$name.crt for $joined ($why)"
}

# A service's names inside a cluster, from every namespace.
names() { alternatives "$1" "$1.etl-poc" "$1.etl-poc.svc" "$1.etl-poc.svc.cluster.local" localhost; }

extra=$(alternatives "$@") || exit
mapfile -t mssql < <(names mssql)
mapfile -t postgres < <(names postgres; printf '%s' "${extra:+$extra$'\n'}")
mkdir -p "$dir"
authority
server mssql "${mssql[@]}"
server postgres "${postgres[@]}"
