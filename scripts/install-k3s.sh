#!/usr/bin/env bash
# Installs one K3s server on this machine. `scripts/install-k3s.sh --help` says all.
set -euo pipefail

# Upstream's installer reads the same variable.
VERSION=${INSTALL_K3S_VERSION:-v1.34.3+k3s1}

usage() {
  cat <<HELP
Usage: sudo scripts/install-k3s.sh [options]

Installs K3s $VERSION as a systemd service: the binary (its sha256 is compared with the release's list,
or with --sha256), K3s' own images, upstream's install script of the same tag, and the settings in
/etc/rancher/k3s/config.yaml. Waits until the node is Ready and coredns answers. Safe to repeat.

  --from DIRECTORY     without network: take k3s, sha256sum-ARCH.txt, k3s-airgap-images-ARCH.tar.zst
                       and install.sh from there
  --download DIRECTORY only fetch these four files into DIRECTORY, for a machine without network
  --sha256 HEX         what the binary must have, if you do not trust the release's list
  --images FILE.tar    import our images, e.g. of: docker save etl-job:0.1.0 mssql-init:0.1.0 -o FILE.tar
                       May be given more than once, also when K3s is installed already
  --kubeconfig FILE    where your copy goes (default: ~/.kube/etl-k3s.yaml; context etl-k3s, mode 0600)
  --dry-run            say what would be done; changes nothing

INSTALL_K3S_VERSION   another version than the one that this repository was checked with

Exit codes: 0 done; 64 command line; 65 a file is missing or has the wrong checksum, or there are other
settings already; 69 this machine will not do, or a download failed; 75 not ready in time; 77 not root
HELP
}

# For tests and images: a prefix before each path on this machine.
ROOT=${DESTDIR:-}
CONFIG=$ROOT/etc/rancher/k3s/config.yaml
BINARY=$ROOT/usr/local/bin/k3s
AIRGAP_IMAGES=$ROOT/var/lib/rancher/k3s/agent/images
KUBECONFIG_K3S=$ROOT/etc/rancher/k3s/k3s.yaml
FROM="" DOWNLOAD="" SHA256="" DRY_RUN="" IMAGES=()
OWNER=${SUDO_USER:-$(id -un)}
KUBECONFIG_COPY=$(getent passwd "$OWNER" | cut -d: -f6)/.kube/etl-k3s.yaml

say() { printf '%s\n' "$*"; }
die() {
  local code=$1 line
  shift
  printf 'Error: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '       %s\n' "$line" >&2; done
  exit "$code"
}

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      --from | --download | --sha256 | --images | --kubeconfig)
        [ $# -ge 2 ] || die 64 "$1 needs a value." "See scripts/install-k3s.sh --help"
        case $1 in
          --from) FROM=$2 ;;
          --download) DOWNLOAD=$2 ;;
          --sha256) SHA256=${2,,} ;;
          --images) IMAGES+=("$2") ;;
          --kubeconfig) KUBECONFIG_COPY=$2 ;;
        esac
        shift
        ;;
      --dry-run) DRY_RUN=yes ;;
      --help | -h) usage && exit 0 ;;
      *) die 64 "Unknown argument '$1'." "See scripts/install-k3s.sh --help" ;;
    esac
    shift
  done
  [ -z "$FROM" ] || [ -z "$DOWNLOAD" ] || die 64 "--from and --download exclude each other."
  [[ $VERSION =~ ^v1\.[0-9]+\.[0-9]+\+k3s[0-9]+$ ]] || die 64 "INSTALL_K3S_VERSION is '$VERSION'; the form is v1.34.3+k3s1."
  [ -z "$SHA256" ] || [[ $SHA256 =~ ^[0-9a-f]{64}$ ]] || die 64 "--sha256 takes 64 hexadecimal digits."
}

check_machine() {
  local memory image
  for image in "${IMAGES[@]}"; do [ -r "$image" ] || die 65 "--images: $image cannot be read. Nothing was changed." "Make it with: docker save etl-job:0.1.0 mssql-init:0.1.0 -o $image"; done
  case $(uname -m) in
    x86_64) ARCH=amd64 SUFFIX="" ;;
    aarch64) ARCH=arm64 SUFFIX=-arm64 ;;
    *) die 69 "K3s has no build for $(uname -m)." ;;
  esac
  [ -z "$DOWNLOAD" ] || return 0
  [ "$ARCH" = amd64 ] || say "Warning: SQL Server has no image for $ARCH; point the pipeline at one elsewhere."
  command -v systemctl >/dev/null || die 69 "K3s needs Linux with systemd; this machine has none." "On a Mac or Windows use minikube and --overlay minikube."
  [ ! -e "$ROOT/etc/systemd/system/k3s-agent.service" ] || die 69 "This machine is a K3s agent of another cluster. Nothing was changed." "Use a machine of its own, or k3s-agent-uninstall.sh first."
  memory=$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo)
  [ "$memory" -ge 3500 ] || die 69 "This machine has $memory MiB of memory; SQL Server, monitoring and logging need 4096. Nothing was changed."
  [ -n "$DRY_RUN" ] || [ "$(id -u)" -eq 0 ] || die 77 "This installs a service: run it with sudo. Nothing was changed."
}

config() {
  cat <<'YAML'
# Written by scripts/install-k3s.sh.
write-kubeconfig-mode: "0600"
secrets-encryption: true
disable:
  - traefik
  - servicelb
YAML
}

# Encryption of Secrets cannot be switched on by a changed file alone, so other settings are not touched.
check_config() {
  [ -e "$CONFIG" ] || return 0
  config | cmp -s - "$CONFIG" ||
    die 65 "$CONFIG exists and says something else. Nothing was changed." \
      "This K3s was set up by someone else. Its settings against ours:" "$(config | diff "$CONFIG" - | grep '^[<>]' | tr '\n' ' ')" \
      "To keep it, use it as it is with scripts/apply-all.sh; to start anew, run k3s-uninstall.sh first (its data is lost)."
}

installed() { [ -x "$BINARY" ] && [ "$("$BINARY" --version 2>/dev/null | awk 'NR == 1 { print $3 }')" = "$VERSION" ]; }

fetch() {
  say "Fetching $1"
  curl --proto '=https' --tlsv1.2 -fsSL --retry 3 -o "$2.part" "$1" || die 69 "Could not fetch $1. Nothing was installed." \
    "Without network: run this with --download DIRECTORY elsewhere, carry it here, then --from DIRECTORY."
  mv "$2.part" "$2"
}

download_to() {
  local release="https://github.com/k3s-io/k3s/releases/download/${VERSION/+/%2B}"
  mkdir -p "$1"
  fetch "$release/sha256sum-$ARCH.txt" "$1/sha256sum-$ARCH.txt"
  fetch "$release/k3s$SUFFIX" "$1/k3s$SUFFIX"
  fetch "$release/k3s-airgap-images-$ARCH.tar.zst" "$1/k3s-airgap-images-$ARCH.tar.zst"
  fetch "https://raw.githubusercontent.com/k3s-io/k3s/${VERSION/+/%2B}/install.sh" "$1/install.sh"
}

# check_sum DIRECTORY FILE [HEX]
check_sum() {
  local expected=${3:-} found
  [ -s "$1/$2" ] || die 65 "$1/$2 is missing. Nothing was installed." "See --download in scripts/install-k3s.sh --help"
  [ -n "$expected" ] || expected=$(awk -v file="$2" '$2 == file || $2 == "*" file { print $1 }' "$1/sha256sum-$ARCH.txt" 2>/dev/null || true)
  found=$(sha256sum "$1/$2" | cut -d' ' -f1)
  [ -n "$expected" ] || die 65 "There is no checksum for $2 in $1/sha256sum-$ARCH.txt. Nothing was installed." "Fetch the files anew with --download."
  [ "$found" = "$expected" ] || die 65 "$1/$2 has the sha256 $found; $expected was expected. Nothing was installed." \
    "The file is damaged, of another version, or not what it says. Delete it and fetch it anew."
}

check_files() {
  check_sum "$1" "k3s$SUFFIX" "$SHA256"
  check_sum "$1" "k3s-airgap-images-$ARCH.tar.zst"
  if [ ! -s "$1/install.sh" ] || ! sh -n "$1/install.sh" 2>/dev/null; then
    die 65 "$1/install.sh is missing or no shell script. Nothing was installed." "Fetch the files anew with --download."
  fi
}

install_k3s() {
  local files=$FROM
  if [ -z "$files" ]; then
    files=$(mktemp -d)
    # shellcheck disable=SC2064 # the directory of now
    trap "rm -rf '$files'" EXIT
    download_to "$files"
  fi
  check_files "$files"
  mkdir -p "$(dirname "$CONFIG")" "$AIRGAP_IMAGES"
  config >"$CONFIG"
  chmod 600 "$CONFIG"
  install -m 644 "$files/k3s-airgap-images-$ARCH.tar.zst" "$AIRGAP_IMAGES/"
  # By a new name first: the old binary may be running.
  install -D -m 755 "$files/k3s$SUFFIX" "$BINARY.new"
  mv "$BINARY.new" "$BINARY"
  INSTALL_K3S_VERSION=$VERSION INSTALL_K3S_SKIP_DOWNLOAD=true sh "$files/install.sh" ||
    die 75 "K3s' install script failed; its messages are above. The binary and $CONFIG are in place." \
      "Once the cause is gone (journalctl -u k3s -n 50), run this again."
}

kubectl_k3s() { "$BINARY" kubectl --kubeconfig "$KUBECONFIG_K3S" "$@"; }

# until_true SECONDS WHAT COMMAND...
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || die 75 "K3s is installed, but $what is not there in time." "Look at: journalctl -u k3s -n 50; sudo k3s kubectl get nodes,pods -A" "Then run this again."
    sleep "${POLL_SECONDS:-2}"
  done
}

wait_ready() {
  say "Waiting for the node and coredns"
  until_true 180 "the API server" kubectl_k3s get --raw /readyz
  until_true 120 "the node" sh -c "'$BINARY' kubectl --kubeconfig '$KUBECONFIG_K3S' get nodes -o name | grep -q ."
  until_true 180 "a Ready node" kubectl_k3s wait --for=condition=Ready node --all --timeout=5s
  until_true 240 "coredns" kubectl_k3s -n kube-system rollout status deployment/coredns --timeout=5s
}

# Kubernetes keeps its images in containerd's namespace k8s.io.
import_images() {
  local file
  for file in "${IMAGES[@]}"; do
    say "Importing $file"
    "$BINARY" ctr -n k8s.io images import "$file" || die 65 "$file could not be imported; containerd's message is above. K3s itself works." "Make it with docker save, and run this again with --images."
  done
}

copy_kubeconfig() {
  mkdir -p "$(dirname "$KUBECONFIG_COPY")"
  (umask 077 && sed 's/: default$/: etl-k3s/' "$KUBECONFIG_K3S" >"$KUBECONFIG_COPY")
  chmod 600 "$KUBECONFIG_COPY"
  chown "$OWNER": "$(dirname "$KUBECONFIG_COPY")" "$KUBECONFIG_COPY"
}

main() {
  parse "$@"
  check_machine
  if [ -n "$DOWNLOAD" ]; then
    [ -z "$DRY_RUN" ] || { say "Would fetch K3s $VERSION for $ARCH into $DOWNLOAD."; return; }
    download_to "$DOWNLOAD"
    check_files "$DOWNLOAD"
    say "K3s $VERSION for $ARCH is in $DOWNLOAD. There: sudo scripts/install-k3s.sh --from $DOWNLOAD"
    return
  fi
  check_config
  [ -z "$FROM" ] || check_files "$FROM"
  if [ -n "$DRY_RUN" ]; then
    if installed; then
      say "K3s $VERSION is installed already."
    else
      say "Would install K3s $VERSION ($ARCH) from ${FROM:-github.com/k3s-io/k3s} to $BINARY, settings to $CONFIG."
    fi
    say "Would wait until it is ready, import ${#IMAGES[@]} image file(s), and write $KUBECONFIG_COPY. Nothing was changed."
    return
  fi
  if installed && [ -e "$CONFIG" ]; then say "K3s $VERSION is installed already."; else install_k3s; fi
  wait_ready
  import_images
  copy_kubeconfig
  say "K3s $VERSION works. Next:"
  say "  export KUBECONFIG=$KUBECONFIG_COPY"
  say "  scripts/apply-all.sh --overlay k3s --context etl-k3s"
}

main "$@"
