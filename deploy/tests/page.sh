#!/usr/bin/env bash
# Looks at docs/architecture.html in a browser, 390 and 1280 pixels wide, light and dark: it must not scroll
# sideways, ask for anything, cut a text off or draw one over another. Then plants each of these faults in a copy,
# which must be found. Pictures go to --pictures DIR, if that is given. Before that, each link of the documents has to
# lead somewhere, and each test that they name has to exist.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

not_run() {
  echo "NOT RUN page: $*"
  exit 0
}

mapfile -t documents < <(git ls-files -- '*.md' docs/architecture.html)
python3 deploy/tests/documents.py "${documents[@]}"
planted=$(mktemp --suffix .md)
trap 'rm -f "$planted"' EXIT
# shellcheck disable=SC2016 # not a command: a name in a document
for fault in '[nowhere](/no/such/file.md)' '`a_test_of_a_promise_that_nobody_wrote`'; do
  echo "$fault" >"$planted"
  if python3 deploy/tests/documents.py "$planted" >/dev/null; then echo "FAIL found when planted: $fault" && exit 1; fi
  echo "ok   found when planted: $fault"
done

CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$CHROMIUM" ]; then
  (apt_install chromium) || not_run "no chromium on this machine, and it could not be installed"
  CHROMIUM=$(command -v chromium)
fi
VENV=${XDG_CACHE_HOME:-$HOME/.cache}/etl-ci/page-venv
if [ ! -e "$VENV/.websocket-client==1.9.0" ]; then
  python3 -m venv "$VENV" 2>/dev/null || { apt_install python3-venv; python3 -m venv "$VENV"; }
  "$VENV/bin/pip" install --quiet --disable-pip-version-check websocket-client==1.9.0 ||
    not_run "websocket-client 1.9.0 could not be installed"
  touch "$VENV/.websocket-client==1.9.0"
fi
export CHROMIUM
"$VENV/bin/python" deploy/tests/page.py docs/architecture.html "$@"
