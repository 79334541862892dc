# shellcheck shell=bash disable=SC2034,SC2154 # one script in parts: variables of the others
# Sourced. Builds both images from one Dockerfile and looks at what they are.

dockerfile=deploy/images/Dockerfile
# Of the whole image, as `docker images` counts, in bytes.
limit=40000000
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)

default_of() { sed -n "s/^ARG $1=//p" "$dockerfile"; }

image_of() { echo "$1:images-test"; }

build_images() {
  local target begun=$SECONDS
  for target in mssql-init etl-job; do
    "${docker[@]}" build --quiet --file "$dockerfile" --target "$target" --tag "$(image_of "$target")" \
      --build-arg RUST_IMAGE="$rust" --build-arg RUNTIME_IMAGE="$runtime" \
      --build-arg VERSION="$version" --build-arg REVISION="$revision" \
      --build-arg CREATED="$(date -u +%Y-%m-%dT%H:%M:%SZ)" --build-arg SOURCE=https://git.example.com/etl \
      . >/dev/null || { fail "building $target"; summary; exit 1; }
  done
  pass "both images are built in $((SECONDS - begun)) s"
}

# A field of an image's configuration.
inspect() { "${docker[@]}" image inspect --format "$2" "$1"; }

# Every path in an image's file system, into $work/paths, and the programs' sizes with them.
list_files() {
  local container
  container=$("${docker[@]}" create "$1" none)
  "${docker[@]}" export "$container" | tar -tvf - >"$work/paths"
  "${docker[@]}" rm "$container" >/dev/null
}

shells() { grep -oE ' \.?/?(usr/)?s?bin/(ba|da|a|k|z)?sh( |$)|busybox' "$work/paths" || true; }

check_images() {
  local target image size label
  same "the Dockerfile and rust-toolchain.toml name the same Rust" \
    "$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)" "$(default_of RUST_IMAGE | sed -E 's/.*:([0-9.]+).*/\1/')"
  list_files "$POSTGRES_IMAGE"
  holds "control: an image with a shell is recognised" test -n "$(shells)"
  for target in etl-job mssql-init; do
    image=$(image_of "$target")
    size=$(inspect "$image" '{{.Size}}')
    list_files "$image"
    awk -v name="$target" -v all="$size" '$NF == "usr/local/bin/" name {
      printf "size: %s %.1f MB in all, the program alone %.1f MB\n", name, all / 1e6, $3 / 1e6 }' "$work/paths"
    holds "$target is smaller than 40 MB" test "$size" -lt "$limit"
    same "$target has no shell" "" "$(shells)"
    same "$target runs as 65532" 65532:65532 "$(inspect "$image" '{{.Config.User}}')"
    same "$target starts its program and no shell" "[/usr/local/bin/$target] []" "$(inspect "$image" '{{.Config.Entrypoint}} {{.Config.Cmd}}')"
    same "$target says its version" "$version" "$(inspect "$image" '{{index .Config.Labels "org.opencontainers.image.version"}}')"
    same "$target says its revision" "$revision" "$(inspect "$image" '{{index .Config.Labels "org.opencontainers.image.revision"}}')"
    same "$target says its name" "$target" "$(inspect "$image" '{{index .Config.Labels "org.opencontainers.image.title"}}')"
    for label in description source created licenses; do
      label=org.opencontainers.image.$label
      holds "$target has $label" test -n "$(inspect "$image" "{{index .Config.Labels \"$label\"}}")"
    done
    expect "$target --version, hardened" 0 hardened "$image" --version
    said "$target --version is the workspace's" "^$target $version\$"
  done
}

# A container as the manifests run it; options, then the image and its arguments.
hardened() {
  timeout 120 "${docker[@]}" run --rm --read-only --tmpfs /tmp --cap-drop ALL --user 65532:65532 \
    --security-opt no-new-privileges "$@"
}
