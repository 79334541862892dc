#!/usr/bin/env bash
# Pins an image of an overlay to a digest: scripts/set-digest.sh OVERLAY NAME NEW-NAME sha256:HEX
#
# Changes the entry NAME under `images:` in deploy/overlays/OVERLAY/kustomization.yaml and nothing else;
# `kustomize edit` would drop the comments. CI's release makes a pull request of it.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { printf 'Error: %s\n' "$*" >&2; exit 64; }

[ $# -eq 4 ] || die "usage: scripts/set-digest.sh OVERLAY NAME NEW-NAME sha256:HEX"
file=deploy/overlays/$1/kustomization.yaml
[ -f "$file" ] || die "there is no $file"
[[ $4 =~ ^sha256:[0-9a-f]{64}$ ]] || die "'$4' is no digest; its form is sha256: and 64 hexadecimal digits"
[[ $3 =~ ^[a-z0-9][a-z0-9./_:-]*$ ]] || die "'$3' is no image name"

awk -v name="$2" -v new_name="$3" -v digest="$4" '
  /^[a-z]/ { section = $1 }
  section == "images:" && /^  - name: / { ours = ($3 == name) }
  section != "images:" { ours = 0 }
  ours && /^    (newName|newTag|digest): / { next }
  { print }
  ours && /^  - name: / { found = 1; print "    newName: " new_name; print "    digest: " digest }
  END { exit !found }' "$file" >"$file.new" ||
  { rm -f "$file.new"; die "$file has no image named '$2'"; }
mv "$file.new" "$file"
