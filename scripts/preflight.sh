# Sourced by apply-all.sh: everything about the files here that can be known before the cluster is
# touched. All that is wrong is told at once, each with what to do; then the script ends with 65.
# shellcheck shell=bash

# Passwords that were in an example once, or that an attacker tries first: their letters and digits,
# in lower case. The programs refuse the same ones (etl-job/src/secrets.rs); a test compares both.
PLACEHOLDERS=(
  changeme changeit replaceme placeholder todo yourstrongpassw0rd yourstrongpassword yourpassword
  yourpasswordhere passwordhere pssw0rd passw0rd password password1 password123 secret admin guest
  postgres root sa test example 123456 12345678
)

# File, and where it is in the cluster.
SECRETS='etl-source-url etl-poc secret/etl-source url
etl-target-url etl-poc secret/etl-target url
etl-metrics-url etl-poc secret/etl-metrics url
mssql-sa-password etl-poc secret/mssql-sa password
mssql-admin-url etl-poc secret/mssql-admin url
ca.crt etl-poc configmap/etl-trust ca.crt
mssql.crt etl-poc secret/mssql-tls tls.crt
mssql.key etl-poc secret/mssql-tls tls.key
grafana-admin-password monitoring secret/grafana-admin password'

FAULTS=()
fault() { FAULTS+=("$*"); }

is_placeholder() {
  local known password=${1,,} letters first
  letters=${password//[^[:alnum:]]/}
  first=${password:0:1}
  for known in "${PLACEHOLDERS[@]}"; do [ "$letters" != "$known" ] || return 0; done
  [[ $letters == *changeme* || $password == "<"*">" ]] ||
    { [ ${#password} -ge 3 ] && [ -z "${password//"$first"/}" ]; }
}

# SQL Server refuses weaker ones, sa's even at its start.
is_strong_enough() {
  local classes=0
  [[ $1 =~ [a-z] ]] && classes=$((classes + 1))
  [[ $1 =~ [A-Z] ]] && classes=$((classes + 1))
  [[ $1 =~ [0-9] ]] && classes=$((classes + 1))
  [[ $1 =~ [^a-zA-Z0-9] ]] && classes=$((classes + 1))
  [ ${#1} -ge 8 ] && [ $classes -ge 3 ]
}

decode() { printf '%b' "$(sed 's/\\/\\\\/g; s/%\([0-9A-Fa-f][0-9A-Fa-f]\)/\\x\1/g' <<<"$1")"; }

# url_part SCHEME|USER|PASSWORD|HOST URL, percent-decoded.
url_part() {
  local scheme=${2%%://*} rest=${2#*://} userinfo host
  userinfo=${rest%@*}
  [ "$userinfo" != "$rest" ] || userinfo=""
  host=${rest##*@}
  host=${host%%[/?]*}
  case $1 in
    SCHEME) printf '%s' "$scheme" ;;
    USER) decode "${userinfo%%:*}" ;;
    PASSWORD) if [[ $userinfo == *:* ]]; then decode "${userinfo#*:}"; fi ;;
    HOST) printf '%s' "${host%:*}" ;;
  esac
}

check_secret_files() {
  local dir=$1 name file
  while read -r name _; do
    file=$dir/$name
    if [ ! -s "$file" ]; then
      fault "$file is missing or empty. deploy/README.md says how to make it; $name.example beside it shows its form."
    elif [ ! -r "$file" ]; then
      fault "$file cannot be read by $(id -un)."
    elif [ -f "$file.example" ] && cmp -s "$file" "$file.example"; then
      fault "$file still is the example. Put the real value there."
    fi
  done <<<"$SECRETS"
}

# fetch_secrets DIRECTORY: the Secrets of the cluster as the same files, for the same checks.
fetch_secrets() {
  local name namespace object key text
  while read -r name namespace object key; do
    text=$(ask get "$object" -n "$namespace" -o "go-template={{index .data \"$key\"}}" 2>/dev/null) || text=""
    if [ -z "$text" ] || [ "$text" = '<no value>' ]; then
      fault "$object in namespace $namespace has no key '$key'. With --secrets cluster it must be there before; deploy/README.md lists all."
    elif [[ $object == secret/* ]]; then
      base64 -d <<<"$text" >"$1/$name"
    else
      printf '%s\n' "$text" >"$1/$name"
    fi
  done <<<"$SECRETS"
}

check_password() {
  local file=$1 password=$2
  if [ -z "$password" ]; then
    fault "$file has no password in it."
  elif is_placeholder "$password"; then
    fault "$file holds a placeholder for a password. Choose a real one; special characters in a URL are percent-encoded."
  elif [ "$3" = strong ] && ! is_strong_enough "$password"; then
    fault "$file: SQL Server will refuse this password. It needs 8 characters of 3 kinds out of a-z, A-Z, 0-9, others."
  fi
}

# check_url FILE SCHEME-PATTERN STRENGTH
check_url() {
  local file=$1 url
  [ -s "$file" ] && [ -r "$file" ] || return 0
  url=$(<"$file")
  # shellcheck disable=SC2053 # a pattern is meant
  if [[ $(url_part SCHEME "$url") != $2 || $url != *://*@* ]]; then
    fault "$file is not a URL of the form ${2%%\**}://login:password@host:port/database."
    return
  fi
  check_password "$file" "$(url_part PASSWORD "$url")" "$3"
}

check_passwords() {
  local dir=$1 sa
  check_url "$dir/etl-source-url" 'postgres*' any
  check_url "$dir/etl-target-url" mssql strong
  check_url "$dir/etl-metrics-url" mssql strong
  check_url "$dir/mssql-admin-url" mssql strong
  [ ! -s "$dir/mssql-sa-password" ] || check_password "$dir/mssql-sa-password" "$(<"$dir/mssql-sa-password")" strong
  [ ! -s "$dir/grafana-admin-password" ] || check_password "$dir/grafana-admin-password" "$(<"$dir/grafana-admin-password")" any
  [ -s "$dir/mssql-admin-url" ] && [ -s "$dir/mssql-sa-password" ] && [ -s "$dir/etl-target-url" ] || return 0
  sa=$(url_part USER "$(<"$dir/mssql-admin-url")")
  [ "${sa,,}" != sa ] || [ "$(url_part PASSWORD "$(<"$dir/mssql-admin-url")")" = "$(<"$dir/mssql-sa-password")" ] ||
    fault "$dir/mssql-admin-url and $dir/mssql-sa-password hold different passwords of sa: the first preparation would fail."
  [ "$(url_part USER "$(<"$dir/etl-target-url")")" != "$sa" ] ||
    fault "$dir/etl-target-url has the administrator's login '$sa'. The job gets a login of its own, such as etl_job; mssql-init makes it."
}

check_certificates() {
  local dir=$1 file host
  for file in ca.crt mssql.crt; do
    [ -s "$dir/$file" ] || return 0
    if ! openssl x509 -in "$dir/$file" -noout 2>/dev/null; then
      fault "$dir/$file is no certificate in PEM form. Make it with scripts/make-certs.sh."
      return
    elif ! openssl x509 -in "$dir/$file" -noout -checkend 0 >/dev/null; then
      fault "$dir/$file has expired ($(openssl x509 -in "$dir/$file" -noout -enddate)). Make it anew with scripts/make-certs.sh."
    elif ! openssl x509 -in "$dir/$file" -noout -checkend 1209600 >/dev/null; then
      warn "$dir/$file ends within 14 days ($(openssl x509 -in "$dir/$file" -noout -enddate))."
    fi
  done
  openssl verify -CAfile "$dir/ca.crt" "$dir/mssql.crt" >/dev/null 2>&1 ||
    fault "$dir/mssql.crt is not signed by $dir/ca.crt: every connection to SQL Server would be refused."
  [ ! -s "$dir/mssql.key" ] ||
    [ "$(openssl x509 -in "$dir/mssql.crt" -noout -pubkey)" = "$(openssl pkey -in "$dir/mssql.key" -pubout 2>/dev/null)" ] ||
    fault "$dir/mssql.key does not belong to $dir/mssql.crt: SQL Server would not start its TLS."
  for file in etl-target-url etl-metrics-url mssql-admin-url; do
    [ -s "$dir/$file" ] || continue
    host=$(url_part HOST "$(<"$dir/$file")")
    openssl x509 -in "$dir/mssql.crt" -noout -checkhost "$host" | grep -q 'does match' ||
      fault "$dir/mssql.crt is not valid for '$host', the host in $dir/$file. Its names: $(certificate_names "$dir/mssql.crt"). Add the name, or use one of these in the URL."
  done
}

certificate_names() { openssl x509 -in "$1" -noout -ext subjectAltName 2>/dev/null | sed -n 's/^ *//; /DNS\|IP/p' | head -n 1; }

# Why nobody's database is there; nothing for an address that may be right.
useless_address() {
  case ${1,,} in
    '' | *change_me* | *changeme* | '<'*) printf 'a placeholder' ;;
    127.* | ::1 | localhost | *.localhost | 0.0.0.0 | ::) printf 'the pod itself (loopback)' ;;
    192.0.2.* | 198.51.100.* | 203.0.113.* | 2001:db8:*) printf 'an address for documentation (RFC 5737, 3849)' ;;
    169.254.* | fe80:*) printf 'a link-local address' ;;
    *.example | *.invalid | *.test | example.com | *.example.com | example.org | *.example.org) printf 'a name for documentation (RFC 2606)' ;;
    *rds.amazonaws.com) [[ ${1,,} != *x*xxxx* ]] || printf 'a placeholder' ;;
  esac
}

# check_postgres RENDER OVERLAY-DIRECTORY: where Service postgres leads to.
check_postgres() {
  local address why found=""
  while read -r address; do
    found=yes
    why=$(useless_address "$address")
    [ -n "$why" ] || continue
    fault "Service postgres leads to '$address', which is $why. Put the address of your Postgres server into $(holder "$address" "$2"); pods must reach it."
  done < <(postgres_addresses "$1")
  [ -n "$found" ] || fault "Service postgres in $2 leads nowhere: it has neither an EndpointSlice with an address nor an externalName."
}

# check_placeholders RENDER OVERLAY-DIRECTORY: what an overlay leaves to be set, beside the address.
check_placeholders() {
  local value
  while read -r value; do
    fault "A network policy allows $value, which is an address for documentation (RFC 5737). Put the range of your Postgres server into $(holder "${value%/*}" "$2")."
  done < <(sed -n 's/^ *\(- \)\{0,1\}cidr: *"\{0,1\}\(\(192\.0\.2\|198\.51\.100\|203\.0\.113\)\.[0-9./]*\).*/\2/p' "$1" | sort -u)
  while read -r value; do
    fault "Image $value: 123456789012 is the account of AWS' examples. Put your registry into $(holder 123456789012 "$2")."
  done < <(sed -n 's/^ *\(- \)\{0,1\}image: *\(123456789012\..*\)/\2/p' "$1" | sort -u)
}

# holder TEXT DIRECTORY: the file there that holds it.
holder() {
  local file
  file=$(grep -rlF --exclude-dir=secrets -- "$1" "$2" | head -n 1 || true)
  printf '%s' "${file:-$2}"
}

# Of Service postgres: its externalName, and the addresses of its EndpointSlices.
postgres_addresses() {
  awk '
    function flush() { if (ours) printf "%s", found; found = ""; ours = 0; inlist = 0 }
    /^---/ { flush(); kind = ""; next }
    /^kind:/ { kind = $2 }
    /^    kubernetes.io\/service-name: postgres$/ { ours = 1 }
    /^  name: postgres$/ && kind == "Service" { ours = 1 }
    /^  externalName:/ { gsub(/"/, "", $2); found = found $2 "\n" }
    /^- addresses:/ { inlist = 1; next }
    inlist && /^  - / { gsub(/"/, "", $2); found = found $2 "\n"; next }
    { inlist = 0 }
    END { flush() }' "$1"
}

# report_faults CODE WHAT-WAS-DONE
report_faults() {
  local line name namespace object
  [ ${#FAULTS[@]} -gt 0 ] || return 0
  printf 'Error: %d thing(s) are wrong with settings or secrets. %s\n' ${#FAULTS[@]} "$2" >&2
  for line in "${FAULTS[@]}"; do
    # What was fetched is told by the object that holds it.
    while read -r name namespace object _; do line=${line//"$WORK/held/$name"/"$object in $namespace"}; done <<<"$SECRETS"
    printf '  - %s\n' "$line" >&2
  done
  exit "$1"
}
