#!/usr/bin/env bash
# Checks deploy/terraform: format; the same objects and fields as the manifests; `validate` where the
# provider can be had (TERRAFORM_PROVIDER: which version; TERRAFORM_MUST_VALIDATE: not having it is a
# failure). `--mutants` plants faults and expects each to be noticed.
set -euo pipefail
cd "$(dirname "$0")/../.."
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
TERRAFORM=deploy/terraform

python=python3
if ! "$python" -c 'import hcl2, yaml' 2>/dev/null; then
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/etl-ci
  python=$cache/venv-deploy/bin/python
  if ! "$python" -c 'import hcl2, yaml' 2>/dev/null; then
    python3 -m venv "$cache/venv-deploy"
    "$python" -m pip install --quiet 'python-hcl2==8.1.4' 'PyYAML==6.0.3'
  fi
fi

compare() { # ROOT
  kubectl kustomize "$1/deploy/overlays/k3s" >"$WORK/render.yaml" && "$python" "$1/deploy/tests/terraform/compare.py" "$WORK/render.yaml"
}

# What Terraform's own functions find in each directory of manifests, against what lies there.
evaluate() {
  local directory namespace wanted found module=$WORK/manifests
  mkdir "$module"
  cp "$TERRAFORM"/modules/manifests/{variables,objects}.tf "$module/"
  "$python" deploy/tests/terraform/compare.py "$WORK/render.yaml" --directories >"$WORK/directories"
  while read -r directory namespace wanted; do
    # shellcheck disable=SC2016 # Terraform's, not the shell's
    found=$(echo 'join(" ", sort(flatten([for kind, objects in local.objects : [for key in keys(objects) : "${kind}/${key}"]])))' |
      terraform -chdir="$module" console -var "directory=$PWD/deploy/$directory" -var "namespace=$namespace" -var 'labels={}' 2>/dev/null | tail -n 1 | tr -d '"')
    if [ "$found" != "$wanted" ]; then
      echo "FAIL modules/manifests finds in deploy/$directory: ${found:-nothing}; there is: $wanted" >&2
      exit 1
    fi
    # The source's placeholder is gone as soon as an address is given.
    found=$(echo 'length(regexall("192[.]0[.]2[.]", jsonencode(local.manifests)))' |
      terraform -chdir="$module" console -var "directory=$PWD/deploy/$directory" -var "namespace=$namespace" -var 'labels={}' \
        -var postgres_cidr=10.20.30.40/32 2>/dev/null | tail -n 1)
    [ "$found" = 0 ] || { echo "FAIL modules/manifests leaves $found placeholder(s) of deploy/$directory" >&2 && exit 1; }
  done <"$WORK/directories"
  echo "terraform console: $(wc -l <"$WORK/directories") directories ok"
}

validate() {
  local env copy
  if ! command -v terraform >/dev/null; then
    echo "NOT RUN: terraform fmt, console and validate (no terraform here)"
    return
  fi
  terraform fmt -check -recursive -diff "$TERRAFORM"
  echo "terraform fmt: ok"
  evaluate
  for env in k3s eks; do
    copy=$WORK/copy-$env
    mkdir "$copy"
    cp -r deploy "$copy/"
    [ -z "${TERRAFORM_PROVIDER:-}" ] || cat >"$copy/$TERRAFORM/envs/$env/provider_override.tf" <<HCL
terraform {
  required_providers {
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = "$TERRAFORM_PROVIDER"
    }
  }
}
HCL
    if timeout 120 terraform -chdir="$copy/$TERRAFORM/envs/$env" init -backend=false -input=false -no-color >"$WORK/init" 2>&1; then
      terraform -chdir="$copy/$TERRAFORM/envs/$env" validate
    elif [ -n "${TERRAFORM_MUST_VALIDATE:-}" ]; then
      cat "$WORK/init" >&2
      exit 1
    else
      echo "NOT RUN: terraform validate of envs/$env (the provider cannot be had: $(grep -m1 -iE 'could not|failed|error' "$WORK/init" | tr -d '│' | xargs))"
    fi
  done
}

# FILE|SED EXPRESSION
MUTANTS='deploy/terraform/modules/etl/cronjob.tf|s/= "Forbid"/= "Replace"/
deploy/terraform/modules/etl/variables.tf|s|"\*/5 \* \* \* \*"|"*/6 * * * *"|
deploy/terraform/modules/mssql/statefulset.tf|s/run_as_user            = 10001/run_as_user = 0/
deploy/terraform/modules/monitoring/grafana.tf|s/read_only_root_filesystem *= true/read_only_root_filesystem = false/
deploy/terraform/modules/monitoring/main.tf|s/"network", "prometheus"\]/"prometheus"]/
deploy/terraform/modules/monitoring/main.tf|s/"rules\/etl.rules.yml", //
deploy/terraform/modules/logging/fluent_bit.tf|s/kubernetes_daemon_set_v1/kubernetes_deployment_v1/
deploy/base/etl/cronjob.yaml|s/activeDeadlineSeconds: 280/activeDeadlineSeconds: 281/
deploy/base/etl/networkpolicy.yaml|s/cidr: .*/&\n            except: [10.0.0.0\/8]/
deploy/base/metrics/kustomization.yaml|s/  - service.yaml//'

mutants() {
  local file expression noticed=0 survived=0
  while IFS='|' read -r file expression; do
    rm -rf "$WORK/mutant"
    mkdir "$WORK/mutant"
    cp -r deploy "$WORK/mutant/"
    sed -i "$expression" "$WORK/mutant/$file"
    if cmp -s "$file" "$WORK/mutant/$file"; then
      echo "STALE: $file: $expression changes nothing" && survived=$((survived + 1))
    elif compare "$WORK/mutant" >"$WORK/out" 2>&1; then
      echo "SURVIVED: $file: $expression" && survived=$((survived + 1))
    else
      echo "noticed: $(grep -m1 FAIL "$WORK/out" || tail -n 1 "$WORK/out")" && noticed=$((noticed + 1))
    fi
  done <<<"$MUTANTS"
  echo "mutants: $noticed passed, $survived failed"
  [ $survived -eq 0 ]
}

if [ "${1:-}" = --mutants ]; then
  mutants
else
  compare .
  validate
fi
