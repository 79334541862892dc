# shellcheck shell=bash
# Sourced by the other scripts: installs what is missing, and says so. Nothing here is needed
# where it is there already.

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

apt_install() {
  if ! command -v apt-get >/dev/null; then
    say "Missing: $*. Install it with this system's package manager and run this again."
    exit 69
  fi
  say "Installing $* ..."
  [ -n "${APT_UPDATED:-}" ] || { as_root apt-get update -qq >/dev/null; APT_UPDATED=1; }
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# apt_unpack DIRECTORY PACKAGE: its files there, and nothing installed or started.
apt_unpack() {
  command -v apt-get >/dev/null || apt_install "$2"
  say "Unpacking $2 ..."
  [ -n "${APT_UPDATED:-}" ] || { as_root apt-get update -qq >/dev/null; APT_UPDATED=1; }
  mkdir -p "$1"
  (cd "$1" && apt-get download -qq "$2" >/dev/null && dpkg-deb -x "$2"_*.deb . && rm "$2"_*.deb)
}

need_compiler() {
  command -v cc >/dev/null || apt_install gcc libc6-dev
  if ! command -v cargo >/dev/null; then
    say "Missing: a Rust toolchain. See https://rustup.rs; rust-toolchain.toml names the version."
    exit 69
  fi
}

# The server's programs, not a running server: the tests make clusters of their own.
need_postgres() {
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null ||
    apt_install postgresql
}
