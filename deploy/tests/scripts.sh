#!/usr/bin/env bash
# Tests of scripts/apply-all.sh, uninstall.sh and install-k3s.sh with stand-ins for kubectl, k3s and
# curl that write down what they are asked for. No cluster, no network, nothing outside a temporary
# directory. `--mutants [FILE ...]` breaks the scripts (or these) one safeguard at a time and expects each to
# be noticed.
set -euo pipefail
cd "$(dirname "$0")/../.."
HERE=$PWD/deploy/tests
REPO=${REPO_UNDER_TEST:-$PWD}
REAL_KUBECTL=$(command -v kubectl)
export REAL_KUBECTL
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export FAKE_CACHE=${FAKE_CACHE:-$T/cache}
mkdir -p "$FAKE_CACHE"
PASSED=0

# shellcheck source=deploy/tests/scripts/world.sh
. "$HERE/scripts/world.sh"
if [ "${1:-}" = --mutants ]; then
  ONLY=${*:2}
  # shellcheck source=deploy/tests/scripts/mutants.sh
  . "$HERE/scripts/mutants.sh"
  exit 0
fi
for suite in ${SUITES:-apply refusals uninstall install}; do
  # shellcheck disable=SC1090
  . "$HERE/scripts/$suite.sh"
done
echo "scripts: $PASSED passed, 0 failed"
