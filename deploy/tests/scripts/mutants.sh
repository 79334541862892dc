# Sourced by ../scripts.sh --mutants: takes one safeguard out of the scripts at a time. A change that
# no test notices is a hole in the tests.
# shellcheck shell=bash disable=SC2034,SC2154

# shellcheck disable=SC2016 # the scripts' own variables
# FILE|SED EXPRESSION
MUTANTS='apply-all.sh|s/^  check_provider .*/  :/
apply-all.sh|s/^  check_owner$/  :/
apply-all.sh|s/^  check_server_version$/  SERVER_MINOR=0/
apply-all.sh|s/^  check_storage$/  :/
apply-all.sh|s/^  check_by_server$/  :/
apply-all.sh|s/^  confirm .*/  :/
apply-all.sh|s/^  report_faults .*/  :/
apply-all.sh|s/^  check_postgres .*/  :/
apply-all.sh|s/--dry-run=server//
apply-all.sh|s/\[ -n "\$DRY_RUN" \]/false/
apply-all.sh|s/^  \[ -z "\$YES" \] || .*/  true ||/
steps.sh|s/apply_file "\$step" \&\& wait_for_step "\$step"/apply_file "$step"/
steps.sh|s/^  wait_for_job mssql-init/  :/
steps.sh|s/^  kube delete job mssql-init .*/  true ||/
steps.sh|s/ Failed /Never/
steps.sh|s/\$hopeless -lt 6/0 -lt 6/
steps.sh|s/HOPELESS.CrashLoopBackOff/HOPELESS/
steps.sh|s/if (component == "init") return "init"/if (component == "init") next/
cluster.sh|s/\$1 != expected/0/
cluster.sh|s/-ge \$OLDEST_MINOR/-ge 0/
preflight.sh|s/if is_placeholder "\$password"/if false/
preflight.sh|s/elif is_placeholder "\$password"/elif false/
preflight.sh|s/  change_me changeme/  changeme/
preflight.sh|s/-checkend 0 /-checkend -99999999 /
preflight.sh|s/-checkhost "\$host"/-checkhost mssql/
preflight.sh|s/openssl verify .* ||$/true ||/
preflight.sh|s/cmp -s "\$file"/false/
preflight.sh|s/    127\.\* | ::1/    ::1/
uninstall.sh|s/\] \&\& \[ -z "\$DELETE_DATA" \]/] \&\& false/
uninstall.sh|s/^  \[ -z "\$DELETE_DATA" \] || confirm/  true || confirm/
uninstall.sh|s/^  check_owner$/  :/
uninstall.sh|s/ || return 1$/ || true/; s/namespaces_here) || die.*/namespaces_here)/
install-k3s.sh|s/\[ "\$found" = "\$expected" \]/true/
install-k3s.sh|s/^  check_config$/  :/
install-k3s.sh|s/^  until_true 240 .*/  :/
install-k3s.sh|s/umask 077/umask 022/; s/chmod 600 "\$KUBECONFIG_COPY"/:/'

# The suites that a script is tested by.
suites_of() {
  case $1 in
    uninstall.sh) echo uninstall ;;
    install-k3s.sh) echo install ;;
    *) echo apply refusals ;;
  esac
}

survived=0 noticed=0
while IFS='|' read -r file expression <&3; do
  [ -z "${ONLY:-}" ] || [[ " $ONLY " == *" $file "* ]] || continue
  rm -rf "$T/mutant"
  mkdir -p "$T/mutant/etl-job/src"
  cp -r scripts "$T/mutant/"
  cp etl-job/src/secrets.rs "$T/mutant/etl-job/src/"
  sed -i "$expression" "$T/mutant/scripts/$file"
  if cmp -s "scripts/$file" "$T/mutant/scripts/$file"; then
    echo "STALE: $file: $expression changes nothing" && survived=$((survived + 1))
  elif SUITES=$(suites_of "$file") REPO_UNDER_TEST=$T/mutant bash "$HERE/../../deploy/tests/scripts.sh" >"$T/mutant.log" 2>&1; then
    echo "SURVIVED: $file: $expression" && survived=$((survived + 1))
  else
    # Which case, so that one sees that it was the right one.
    echo "noticed: $file: $(grep -m1 '^FAILED' "$T/mutant.log" || tail -n 1 "$T/mutant.log")" && noticed=$((noticed + 1))
  fi
done 3<<<"$MUTANTS"
echo "mutants: $noticed passed, $survived failed"
[ "$survived" -eq 0 ]
