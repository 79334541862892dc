# shellcheck shell=bash disable=SC2034,SC2154 # one script in parts: variables of the others
# Sourced. A Docker engine: the one that is here, or Debian's, started from a folder of ours and
# stopped with this script. Its images and the build's caches stay in the folder for the next time.

# Sets `docker`, the client that can build with BuildKit, and `compose`; fails if there is no engine.
need_engine() {
  export DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1
  if ! docker version >/dev/null 2>&1; then
    start_engine || return 1
  fi
  local client
  for client in docker /usr/bin/docker; do
    # Clients since 23 build with the plugin buildx and not at all without it.
    if "$client" buildx version >/dev/null 2>&1 || [[ $("$client" --version 2>/dev/null) =~ \ version\ (19|20)\. ]]; then
      docker=("$client")
      break
    fi
  done
  [ -n "${docker:-}" ] || { engine_missing="no client that can build with BuildKit"; return 1; }
  if "${docker[@]}" compose version >/dev/null 2>&1; then
    compose=("${docker[@]}" compose)
  else
    command -v docker-compose >/dev/null || apt_install docker-compose
    compose=(docker-compose)
  fi
}

# One run at a time has the folder; a second waits.
start_engine() {
  if [ "$(id -u)" -ne 0 ]; then
    engine_missing="no Docker engine answers, and only root can start one"
    return 1
  fi
  if [ ! -x /usr/sbin/dockerd ] && [ ! -x /usr/bin/dockerd ]; then
    apt_install docker.io iptables ca-certificates
  fi
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9
  export DOCKER_HOST=unix://$cache/docker.sock
  own_engine=yes
  ! docker version >/dev/null 2>&1 || return 0
  rm -f "$cache/dockerd.pid"
  setsid dockerd --data-root "$cache/data" --exec-root "$cache/exec" --pidfile "$cache/dockerd.pid" \
    --host "$DOCKER_HOST" >"$cache/dockerd.log" 2>&1 </dev/null 9>&- &
  engine_pid=$!
  local try
  for try in $(seq 150); do
    docker version >/dev/null 2>&1 && return 0
    kill -0 "$engine_pid" 2>/dev/null || break
    sleep 0.2
  done
  engine_missing="dockerd did not start ($try tries): $(tail -n 3 "$cache/dockerd.log")"
  return 1
}

# What a run that was killed left behind; only in the engine that nobody else uses.
clear_leftovers() {
  [ -n "${own_engine:-}" ] || return 0
  "${docker[@]}" ps --all --quiet --filter name=etl-images- | xargs -r "${docker[@]}" rm --force --volumes >/dev/null
  "${docker[@]}" network ls --quiet --filter name=etl-images- | xargs -r "${docker[@]}" network rm >/dev/null
  "${docker[@]}" volume ls --quiet --filter name=etl-images- | xargs -r "${docker[@]}" volume rm >/dev/null
  "${docker[@]}" image prune --force >/dev/null
}

# Only the engine that this script started.
stop_engine() {
  [ -n "${engine_pid:-}" ] || return 0
  kill "$engine_pid" 2>/dev/null || true
  wait "$engine_pid" 2>/dev/null || true
}
