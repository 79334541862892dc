#!/usr/bin/env bash
# Builds both images and runs them as a cluster does: read-only, no capability, uid 65532, against a
# real Postgres (deploy/compose/source.yaml) and, in place of SQL Server, the tests' TDS server.
#
#   deploy/tests/images.sh
#
# Needs a Docker engine, or root on Debian to start one of its own; base images that cannot be
# pulled are replaced (images/bases.sh). What it starts it stops.
# shellcheck disable=SC2034 # the parts use what is set here
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
here=$PWD/deploy/tests
cache=${XDG_CACHE_HOME:-$HOME/.cache}/etl-ci/docker
# shellcheck source=deploy/tests/images/report.sh
. "$here/images/report.sh"
# shellcheck source=deploy/tests/images/engine.sh
. "$here/images/engine.sh"
# shellcheck source=deploy/tests/images/bases.sh
. "$here/images/bases.sh"
# shellcheck source=deploy/tests/images/build.sh
. "$here/images/build.sh"
# shellcheck source=deploy/tests/images/source.sh
. "$here/images/source.sh"
# shellcheck source=deploy/tests/images/runs.sh
. "$here/images/runs.sh"

work=$(mktemp -d)
project=etl-images-$$
cleanup() {
  local code=$?
  trap - EXIT
  stop_double
  stop_source
  stop_engine
  rm -rf "$work"
  exit "$code"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

need_compiler
if ! need_engine; then
  not_run "images: build, checks, runs ($engine_missing)"
  summary
  exit
fi
clear_leftovers
step "base images"
runtime=$(base "$(default_of RUNTIME_IMAGE)" make_distroless)
rust=$(base "$(default_of RUST_IMAGE)" make_rust)
POSTGRES_IMAGE=$(base docker.io/library/postgres:17.6 make_postgres)
export POSTGRES_IMAGE

step "build"
build_images
check_images

step "source"
start_source
check_source

step "runs"
start_double
check_runs
check_metrics
check_refusals

step "tests in containers"
check_testcontainers
summary
