# shellcheck shell=bash disable=SC2034,SC2154 # one script in parts: variables of the others
# Sourced. Base images: the official ones where the engine has them or can pull them; otherwise
# stand-ins made here from Debian's packages and this machine's Rust toolchain. A stand-in proves
# a Dockerfile; it is not what production pulls. It has a name of its own, never the official one.

# The image to use in place of official image $1, made by function $2 where it must be.
base() {
  local official=$1 maker=$2 key name
  if "${docker[@]}" image inspect "$official" >/dev/null 2>&1 ||
    timeout 300 "${docker[@]}" pull --quiet "$official" >/dev/null 2>&1; then
    printf '%s\n' "$official"
    return
  fi
  key=$({ declare -f "$maker" packages; rustc -V; cat "$here/images/postgres-entrypoint.sh"; } | sha256sum)
  name=etl-standin/${maker#make_}:${key:0:12}
  if ! "${docker[@]}" image inspect "$name" >/dev/null 2>&1; then
    say "Making $name: $official is not here and cannot be pulled ..."
    command -v mmdebstrap >/dev/null || apt_install mmdebstrap
    "$maker" "$name" >"$cache/${maker#make_}.log" 2>&1 || {
      tail -n 20 "$cache/${maker#make_}.log" >&2
      return 1
    }
  fi
  printf '%s\n' "$name"
}

# A root folder of Debian 12 with the packages $1 as a tar archive; more options may follow.
packages() {
  local include=$1
  shift
  mmdebstrap --quiet --variant=minbase --include="$include" --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' "$@" bookworm -
}

# As the official image: no cmake, and no rustup to download another toolchain. What this machine
# needs to reach a registry (a CA, cargo's settings) stays in the stand-in.
make_rust() {
  local sysroot settings=${CARGO_HOME:-$HOME/.cargo}/config.toml ca=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
  sysroot=$(rustc --print sysroot)
  local hooks=(--customize-hook="cp -a '$sysroot/bin' '$sysroot/lib' \"\$1/usr/local/\" && mkdir -p \"\$1/usr/local/cargo\"")
  [ ! -f "$settings" ] || hooks+=(--customize-hook="cp '$settings' \"\$1/usr/local/cargo/config.toml\"")
  [ ! -f "$ca" ] || hooks+=(--customize-hook="cp '$ca' \"\$1/etc/ssl/certs/ca-certificates.crt\"")
  packages ca-certificates,gcc,g++,libc6-dev,make,perl,pkg-config,git "${hooks[@]}" |
    "${docker[@]}" import --change 'ENV CARGO_HOME=/usr/local/cargo' \
      --change 'ENV PATH=/usr/local/cargo/bin:/usr/local/bin:/usr/bin:/bin' - "$1"
}

# CAs, time zones and two users; no libc, no shell, no package manager.
make_distroless() {
  local root
  root=$(mktemp -d)
  mmdebstrap --quiet --variant=extract --include=base-files,ca-certificates,netbase,tzdata bookworm "$root/debian" &&
    mkdir -p "$root/image"/{etc/ssl/certs,usr/share} &&
    cat "$root"/debian/usr/share/ca-certificates/mozilla/*.crt >"$root/image/etc/ssl/certs/ca-certificates.crt" &&
    cp -a "$root/debian/usr/share/zoneinfo" "$root/image/usr/share/" &&
    cp "$root/debian/etc/protocols" "$root/debian/etc/services" "$root/debian/usr/lib/os-release" "$root/image/etc/" &&
    printf 'hosts: files dns\n' >"$root/image/etc/nsswitch.conf" &&
    printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$root/image/etc/passwd" &&
    printf 'root:x:0:\nnonroot:x:65532:\n' >"$root/image/etc/group" &&
    install -d -o 65532 -g 65532 -m 0700 "$root/image/home/nonroot" && install -d -m 1777 "$root/image/tmp" &&
    tar -C "$root/image" -c . | "${docker[@]}" import --change 'USER 65532' --change 'WORKDIR /home/nonroot' - "$1"
  local done=$?
  rm -rf "$root"
  return $done
}

# Debian's Postgres with what we use of the official image's ways.
make_postgres() {
  packages postgresql,ca-certificates --skip=cleanup/run \
    --essential-hook="echo postgres:x:999: >>\"\$1/etc/group\"" \
    --essential-hook="echo postgres:x:999:999::/var/lib/postgresql:/bin/bash >>\"\$1/etc/passwd\"" \
    --essential-hook="mkdir -p \"\$1/etc/postgresql-common\" && echo 'create_main_cluster = false' >\"\$1/etc/postgresql-common/createcluster.conf\"" \
    --customize-hook="install -D -m 0755 '$here/images/postgres-entrypoint.sh' \"\$1/usr/local/bin/docker-entrypoint.sh\"" \
    --customize-hook="install -d -m 0755 \"\$1/docker-entrypoint-initdb.d\"" \
    --customize-hook="install -d -o 999 -g 999 -m 1777 \"\$1/var/lib/postgresql/data\" \"\$1/run/postgresql\"" |
    "${docker[@]}" import --change 'ENV PGDATA=/var/lib/postgresql/data' \
      --change 'ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
      --change 'ENTRYPOINT ["docker-entrypoint.sh"]' --change 'CMD ["postgres"]' --change 'EXPOSE 5432' \
      --change 'VOLUME /var/lib/postgresql/data' - "$1"
}
