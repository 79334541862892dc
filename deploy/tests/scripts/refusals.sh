# Each refusal: its code, its message, and that nothing was changed.
# shellcheck shell=bash disable=SC2015,SC2030,SC2031,SC2034,SC2154

refuses() { # CODE MESSAGE [OPTION...]
  apply "$1" "${@:3}"
  said "$2"
  nothing_changed
}

it "no overlay" && run 64 scripts/apply-all.sh && said '--overlay is missing' && said 'One of: k3s'
it "an unknown overlay" && run 64 scripts/apply-all.sh --overlay azure && said "There is no overlay 'azure'"
it "an unknown option" && refuses 64 "Unknown argument '--now'" --now
it "an option without its value" && refuses 64 '--timeout needs a value' --timeout
it "--yes does not answer for a cluster that nobody named"
run 64 scripts/apply-all.sh --overlay k3s --yes && said '--yes without --context' && nothing_changed
it "nobody to ask" && run 77 scripts/apply-all.sh --overlay k3s && said 'there is no terminal to ask on' && nothing_changed

it "a context that is not there" && FAKE_CONTEXTS=other refuses 77 "There is no context 'lab'"
it "no current context" && FAKE_CURRENT="" run 77 scripts/apply-all.sh --overlay k3s && said 'no current context' && nothing_changed
it "a cluster that does not answer" && FAKE_DOWN=yes refuses 69 'does not answer' && said 'connection refused'
it "a server that is too old" && FAKE_MINOR=32 refuses 77 'runs Kubernetes 1.32; 1.33 or later is needed'
it "the wrong cluster"
FAKE_NODES='ip-10-0-0-1|aws:///eu-central-1a/i-0abc|v1.34.1-eks-3025e55|' refuses 77 "Wrong cluster: 'k3s' was expected"
said 'ip-10-0-0-1 (eks)' && said '--provider eks'
it "one node of another kind" && FAKE_NODES=$'a|k3s://a|v1.34.3+k3s1|\nb|kind://docker/kind/b|v1.34.0|' refuses 77 'b (kind)'
it "minikube is known by its label" && FAKE_NODES='m||v1.34.0|minikube' refuses 77 'm (minikube)'
it "--provider says what the cluster is" && FAKE_NODES='m||v1.34.0|minikube' apply 0 --provider minikube
it "--provider is checked as well" && refuses 77 "'kind' was expected" --provider kind
it "a cluster without nodes" && FAKE_NODES='' refuses 77 'has no node'
it "Argo CD owns it" && FAKE_OWNER='etl:batch/CronJob:etl-poc/etl-orders||kustomize' refuses 77 'belongs to Argo CD'
it "Terraform owns it" && FAKE_OWNER='||terraform' refuses 77 'belongs to Terraform'
it "a StorageClass that is not there" && FAKE_CLASSES='gp3 true' refuses 77 "no StorageClass 'local-path'" && said 'It has: gp3'
it "no default StorageClass" && sed -i 's/, storageClassName: local-path//' "$T/repo/deploy/overlays/k3s/overlay.yaml" &&
  FAKE_CLASSES='gp3 ' refuses 77 'no default StorageClass'

it "an object that the server refuses" && FAKE_REFUSE='kind: DaemonSet' refuses 65 'refuses objects of step logging' && said 'strict decoding error'
it "a field that somebody else changed" && FAKE_REFUSE='kind: CronJob' FAKE_REFUSAL='Apply failed with 1 conflict' refuses 65 '--force-conflicts takes them over'
it "a field that cannot be changed" && FAKE_REFUSE='kind: StatefulSet' FAKE_REFUSAL='field is immutable' refuses 65 '--cascade=orphan'
it "no rights" && FAKE_REFUSE='kind: Namespace' FAKE_REFUSAL='namespaces is forbidden: User "joe" cannot patch' refuses 77 'forbidden'
it "an overlay that cannot be rendered" && echo 'resources: [gone.yaml]' >"$T/repo/deploy/overlays/k3s/kustomization.yaml" && refuses 65 'cannot be rendered'

it "a secret that is missing" && rm "$SECRETS/etl-target-url" && refuses 65 'etl-target-url is missing or empty'
it "a secret that is empty" && : >"$SECRETS/mssql.key" && refuses 65 'mssql.key is missing or empty'
it "a secret that is the example" && cp "$SECRETS/etl-source-url" "$SECRETS/etl-source-url.example" && refuses 65 'still is the example'
it "all faults at once" && rm "$SECRETS/etl-target-url" "$SECRETS/ca.crt" && refuses 65 '2 thing(s) are wrong' && said ca.crt
it "a URL of the wrong kind" && echo 'https://etl_job:x@mssql/dw' >"$SECRETS/etl-target-url" && refuses 65 'is not a URL of the form mssql://'
it "a URL without a password" && echo 'mssql://etl_job@mssql:1433/dw' >"$SECRETS/etl-target-url" && refuses 65 'has no password in it'
it "a weak password" && echo 'mssql://etl_job:onlyletters@mssql:1433/dw' >"$SECRETS/etl-target-url" && refuses 65 'SQL Server will refuse this password'
it "sa's password said in two ways" && echo 'An0ther.one' >"$SECRETS/mssql-sa-password" && refuses 65 'hold different passwords of sa'
it "the job as administrator" && echo 'mssql://sa:Adm1n%25istrator@mssql:1433/dw' >"$SECRETS/etl-target-url" && refuses 65 "has the administrator's login 'sa'"

# The placeholders are the programs' own.
rust=$(sed -n '/^const PLACEHOLDERS/,/^];/p' "$REPO/etl-job/src/secrets.rs" | grep -o '"[^"]*"' | tr -d '"' | sort)
[ "$(wc -l <<<"$rust")" -gt 20 ] || fail "the list in etl-job/src/secrets.rs was not found"
# shellcheck source=scripts/preflight.sh
ours=$(. "$REPO/scripts/preflight.sh" && printf '%s\n' "${PLACEHOLDERS[@]}" | sort)
CASE="the placeholders are those of etl-job" && PASSED=$((PASSED + 1))
[ "$rust" = "$ours" ] || fail "scripts/preflight.sh and etl-job/src/secrets.rs differ: $(diff <(echo "$rust") <(echo "$ours") | grep '^[<>]' | tr '\n' ' ')"
for word in CHANGE_ME xCHANGE_MEx%21 Passw0rd 'yourStrong(!)Password' P%40ssw0rd Replace-Me '%3Cthe password%3E' xxxxxxxx; do
  it "the placeholder $word" && echo "mssql://etl_job:$word@mssql:1433/dw" >"$SECRETS/etl-target-url" && refuses 65 'holds a placeholder'
done
it "a placeholder for Grafana" && echo admin >"$SECRETS/grafana-admin-password" && refuses 65 'grafana-admin-password holds a placeholder'
it "no password is ever printed" && echo 'mssql://etl_job:onlyletters@mssql:1433/dw' >"$SECRETS/etl-target-url" && apply 65 && said_not onlyletters && said_not istrator

for address in 127.0.0.1 192.0.2.10 203.0.113.9 169.254.1.1 0.0.0.0; do
  it "Postgres at $address" && sed -i "s/10.20.30.40/$address/" "$T/repo/deploy/overlays/k3s/overlay.yaml" &&
    refuses 65 "Service postgres leads to '$address'" && said 'into deploy/overlays/k3s/overlay.yaml'
done
for name in CHANGE_ME.rds.amazonaws.com localhost db.example.com; do
  it "Postgres by the name $name" && sed -i "s/spec: {ports: \[{port: 5432}\]}/spec: {type: ExternalName, externalName: $name}/; /^kind: EndpointSlice/,/^---/s/service-name: postgres/service-name: other/" "$T/repo/deploy/overlays/k3s/overlay.yaml" &&
    refuses 65 "Service postgres leads to '$name'"
done
it "a network policy for an address of the documentation"
printf -- '---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: to, namespace: etl-poc}\nspec: {egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24}}]}]}\n' >>"$T/repo/deploy/overlays/k3s/overlay.yaml"
refuses 65 'allows 192.0.2.0/24' && said 'into deploy/overlays/k3s/overlay.yaml'
it "the registry of an example" && sed -i 's/^kind: Job$/&\nspec: {template: {spec: {containers: [{image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com\/etl-job}]}}}/' "$T/repo/deploy/overlays/k3s/overlay.yaml" &&
  refuses 65 "123456789012 is the account of AWS' examples"
it "Postgres nowhere" && sed -i 's/service-name: postgres/service-name: other/' "$T/repo/deploy/overlays/k3s/overlay.yaml" && refuses 65 'Service postgres in deploy/overlays/k3s leads nowhere'

it "a certificate for another name" && echo 'mssql://etl_job:J0b.secretly@sql.corp:1433/dw' >"$SECRETS/etl-target-url" && refuses 65 "is not valid for 'sql.corp'" && said 'DNS:mssql'
it "a key of another certificate" && openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$SECRETS/mssql.key" 2>/dev/null && refuses 65 'does not belong to'
it "a certificate of another authority" && certificate other DNS:mssql 30 && cp "$T/other.crt" "$SECRETS/mssql.crt" && cp "$T/other.key" "$SECRETS/mssql.key" && rm "$T/mssql.crt" && refuses 65 'is not signed by'
it "an expired certificate" && certificate late DNS:mssql -1 && cp "$T/late.crt" "$SECRETS/mssql.crt" && cp "$T/late.key" "$SECRETS/mssql.key" && cp "$T/ca.crt" "$SECRETS/" && rm "$T/mssql.crt" && refuses 65 'mssql.crt has expired'
it "a certificate that is none" && echo hello >"$SECRETS/ca.crt" && refuses 65 'ca.crt is no certificate'
