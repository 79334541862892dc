# shellcheck shell=bash disable=SC2015,SC2030,SC2031,SC2034,SC2154

remove() { FAKE_NAMESPACES=yes run "$1" scripts/uninstall.sh --context lab --yes "${@:2}"; }

it "volumes, and the namespaces that hold them, stay"
FAKE_PVC=$'data-mssql-0 20Gi pvc-1\n' remove 0
called 'delete cronjob,job,.* -n etl-poc -l app.kubernetes.io/part-of=etl'
called_not 'delete namespace'
called_not 'delete.*(pvc|persistentvolumeclaim|secret)'
said 'keep volume etl-poc/data-mssql-0'
said 'Kept: namespace etl-poc with its Secrets'

it "a namespace without a volume goes"
remove 0
order 'delete cronjob,job.* -n logging' 'delete namespace etl-poc'

it "--delete-data takes volumes and namespaces"
FAKE_PVC=$'data-mssql-0 20Gi pvc-1\n' FAKE_PV=$'Bound pvc-2 other/data\nReleased pvc-1 etl-poc/data-mssql-0\n' remove 0 --delete-data
called 'delete namespace etl-poc'
said 'DELETE volume etl-poc/data-mssql-0'
called 'get pv .*persistentVolumeReclaimPolicy=="Retain"'
said 'These disks remain'
said 'pvc-1 etl-poc/data-mssql-0'
said_not 'pvc-2'

it "a dry run says what would go"
FAKE_PVC=$'data-mssql-0 20Gi pvc-1\n' FAKE_NAMESPACES=yes run 0 scripts/uninstall.sh --dry-run --delete-data
nothing_changed
said 'DELETE volume etl-poc/data-mssql-0'

it "a cluster that cannot be listed is not taken for an empty one" && FAKE_NO_LIST=yes remove 77 && said 'cannot be listed' && nothing_changed
it "nothing is deleted unasked" && FAKE_NAMESPACES=yes run 77 scripts/uninstall.sh && said 'Not confirmed' && nothing_changed
it "--yes needs the cluster's name" && run 64 scripts/uninstall.sh --yes --delete-data && nothing_changed
it "what Argo CD keeps is not deleted" && FAKE_OWNER='etl:batch||kustomize' remove 77 && said 'belongs to Argo CD' && nothing_changed
it "the wrong cluster is refused" && remove 77 --provider eks && said 'Wrong cluster' && nothing_changed

# On a terminal: the words must be typed, data apart from the rest.
typed() { # CODE TEXT OPTION...
  local code=0
  (cd "$T/repo" && printf '%b' "$2" | FAKE_LOG=$T/log FAKE_NAMESPACES=yes FAKE_PVC=$'data-mssql-0 20Gi pvc-1\n' PATH=$T/bin:$PATH \
    script -qec "scripts/uninstall.sh ${*:3}" /dev/null) >"$T/out" 2>&1 || code=$?
  [ $code -eq "$1" ] || fail "typed '$2': ended with $code"
}
if command -v script >/dev/null; then
  it "a wrong word stops it" && typed 77 'prod\n' && nothing_changed
  it "data is asked for by itself" && typed 77 'lab\nyes\n' --delete-data && nothing_changed
  it "both words typed" && typed 0 'lab\ndelete data\n' --delete-data && called 'delete namespace etl-poc'
fi
