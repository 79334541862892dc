# shellcheck shell=bash disable=SC2034,SC2154 # one script in parts: variables of the others
# Sourced. What was checked, what failed, and what could not be run: the last by name.

passed=0 failed=0 unrun=0

step() { say "== images: $* ($(date -u +%H:%M:%S))"; }

pass() {
  passed=$((passed + 1))
  echo "ok: $*"
}

fail() {
  failed=$((failed + 1))
  echo "FAILED: $*"
}

not_run() {
  unrun=$((unrun + 1))
  echo "NOT RUN: $*"
}

# Whether the rest succeeds.
holds() { # WHAT COMMAND...
  local what=$1
  shift
  if "$@"; then pass "$what"; else fail "$what: this does not hold: $*"; fi
}

refuses() { ! "$@"; }

# Runs the rest with its output kept in $work/said, and compares its exit code with $2.
expect() { # WHAT CODE COMMAND...
  local what=$1 wanted=$2 code=0
  shift 2
  "$@" >"$work/said" 2>&1 </dev/null || code=$?
  if [ "$code" -eq "$wanted" ]; then
    pass "$what"
  else
    fail "$what: exit code $code, not $wanted: $(tail -n 5 "$work/said")"
  fi
}

# Of the command before: its output has this line.
said() { # WHAT PATTERN
  if grep -qE -- "$2" "$work/said"; then
    pass "$1"
  else
    fail "$1: '$2' is not in: $(tail -n 5 "$work/said")"
  fi
}

same() { # WHAT WANTED FOUND
  if [ "$2" = "$3" ]; then
    pass "$1"
  else
    fail "$1: '$3', not '$2'"
  fi
}

summary() {
  echo "images: $passed passed, $failed failed, $unrun not run"
  [ "$failed" -eq 0 ]
}
