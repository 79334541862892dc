# shellcheck shell=bash disable=SC2015,SC2016,SC2030,SC2031,SC2034,SC2154

# What the release's page would give.
release() {
  mkdir -p "$T/release" "$T/bin"
  cp "$HERE/fake/k3s" "$T/release/k3s"
  echo images >"$T/release/k3s-airgap-images-amd64.tar.zst"
  # shellcheck disable=SC2016 # for the script's own shell
  echo 'echo "install.sh $INSTALL_K3S_VERSION skip=$INSTALL_K3S_SKIP_DOWNLOAD" >>"$FAKE_LOG"; mkdir -p "$DESTDIR/etc/rancher/k3s"; echo "name: default" >"$DESTDIR/etc/rancher/k3s/k3s.yaml"' >"$T/release/install.sh"
  (cd "$T/release" && sha256sum k3s k3s-airgap-images-amd64.tar.zst >sha256sum-amd64.txt)
  printf '#!/bin/sh\ntrue\n' >"$T/bin/systemctl"
  # shellcheck disable=SC2016
  printf '#!/usr/bin/env bash\nfor last; do :; done\necho "curl $last" >>"$FAKE_LOG"\n[ -z "${FAKE_OFFLINE:-}" ] || exit 6\nwhile [ "$1" != -o ]; do shift; done\ncp "%s/$(basename "$last")" "$2"\n' "$T/release" >"$T/bin/curl"
  printf '#!/bin/sh\n[ "$1" = -u ] && { echo "${FAKE_UID:-0}"; exit; }\necho root\n' >"$T/bin/id"
  printf '#!/bin/sh\ncase $1 in -m) echo x86_64 ;; *) echo Linux ;; esac\n' >"$T/bin/uname"
  printf '#!/bin/sh\ntrue\n' >"$T/bin/chown"
  chmod +x "$T/bin"/*
}
install_k3s() { SUDO_USER='' DESTDIR=$T/root run "$1" scripts/install-k3s.sh --kubeconfig "$T/root/copy/config" "${@:2}"; }
nothing_installed() { [ -z "$(find "$T/root" -type f)" ] || fail "files were written: $(find "$T/root" -type f | head -n 3)"; }
release

it "installs from the release, checked, with our settings, and waits"
install_k3s 0
for wanted in 'curl https://github.com/k3s-io/k3s/releases/download/v1.34.3%2Bk3s1/k3s$' 'install.sh v1.34.3\+k3s1 skip=true' \
  'wait --for=condition=Ready node' 'rollout status deployment/coredns'; do called "$wanted"; done
grep -q 'secrets-encryption: true' "$T/root/etc/rancher/k3s/config.yaml" || fail "settings are missing"
[ -x "$T/root/usr/local/bin/k3s" ] && [ -s "$T/root/var/lib/rancher/k3s/agent/images/k3s-airgap-images-amd64.tar.zst" ] || fail "files are missing"
[ "$(stat -c %a "$T/root/copy/config")" = 600 ] && grep -q 'name: etl-k3s' "$T/root/copy/config" || fail "the kubeconfig's copy is wrong"

CASE="a second time nothing is fetched" && PASSED=$((PASSED + 1)) && : >"$T/log"
install_k3s 0
called_not curl
said 'is installed already'

it "without network, from a directory"
install_k3s 0 --from "$T/release"
called_not curl
called 'install.sh v1.34.3'

it "imports our images" && echo tar >"$T/images.tar"
install_k3s 0 --from "$T/release" --images "$T/images.tar"
called 'ctr -n k8s.io images import .*/images.tar'

it "a dry run changes nothing"
install_k3s 0 --dry-run --from "$T/release"
nothing_installed
said 'Would install K3s v1.34.3+k3s1'

it "a binary with another checksum" && cp -r "$T/release" "$T/bad" && echo '# more' >>"$T/bad/k3s"
install_k3s 65 --from "$T/bad" && said 'was expected. Nothing was installed' && nothing_installed
it "images with another checksum" && rm -r "$T/bad" && cp -r "$T/release" "$T/bad" && echo more >>"$T/bad/k3s-airgap-images-amd64.tar.zst"
install_k3s 65 --from "$T/bad" && nothing_installed
it "a checksum of one's own" && install_k3s 65 --from "$T/release" --sha256 "$(printf '0%.0s' {1..64})" && nothing_installed
it "other settings are not overwritten" && mkdir -p "$T/root/etc/rancher/k3s" && echo 'disable-network-policy: true' >"$T/root/etc/rancher/k3s/config.yaml"
install_k3s 65 --from "$T/release" && said 'says something else' && [ "$(cat "$T/root/etc/rancher/k3s/config.yaml")" = 'disable-network-policy: true' ] || fail "settings were changed"
it "no network" && FAKE_OFFLINE=yes install_k3s 69 && said 'Could not fetch' && said '--download DIRECTORY' && nothing_installed
it "not root" && FAKE_UID=1000 install_k3s 77 --from "$T/release" && said 'run it with sudo' && nothing_installed
it "images that cannot be read" && install_k3s 65 --images "$T/none.tar" && said 'docker save' && nothing_installed
it "a version of another form" && INSTALL_K3S_VERSION=latest install_k3s 64 && said 'the form is'
it "an agent of another cluster" && mkdir -p "$T/root/etc/systemd/system" && touch "$T/root/etc/systemd/system/k3s-agent.service"
install_k3s 69 --from "$T/release" && said 'agent of another cluster'
it "fetches for a machine without network" && install_k3s 0 --download "$T/carry" && nothing_installed && install_k3s 0 --from "$T/carry"
rm -f "$T/bin"/{id,uname,curl,chown,systemctl}

pinned() { run "$1" scripts/set-digest.sh k3s etl-job ghcr.io/x/etl-job "$2"; }
overlay=$T/repo/deploy/overlays/k3s/kustomization.yaml
digest=sha256:$(printf 'a%.0s' {1..64})
it "a digest is put into the overlay, the rest stays" && printf '# why\nresources: [overlay.yaml]\nimages:\n  # ours\n  - name: etl-job\n    newName: old/etl-job\n    newTag: 0.1.0\n  - name: mssql-init\n    newTag: 0.1.0\n' >"$overlay"
pinned 0 "$digest"
[ "$(cat "$overlay")" = "$(printf '# why\nresources: [overlay.yaml]\nimages:\n  # ours\n  - name: etl-job\n    newName: ghcr.io/x/etl-job\n    digest: %s\n  - name: mssql-init\n    newTag: 0.1.0' "$digest")" ] || fail "$(cat "$overlay")"
it "an image that the overlay does not have" && pinned 64 "$digest" && said "has no image named 'etl-job'"
it "a digest that is none" && pinned 64 latest && said 'is no digest'
